"""Port 3000: health, and the tools as REST, described by an OpenAPI document made from them."""
