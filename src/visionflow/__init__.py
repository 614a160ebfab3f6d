"""VisionFlow: fleets of software agents on a durable, embedded engine."""
