"""What workers are told, message by message."""

from visionflow.domain import messages as m
from visionflow.runtime.asks import AnswerMessage
from visionflow.runtime.mail import MailMessage
from visionflow.runtime.meshing import ToPeers

ToWorker = (
    m.Welcome
    | m.Rejected
    | m.HostAgent
    | m.DropAgent
    | m.Dispatch
    | m.CancelAttempt
    | m.StepAnswer
    | m.EffectAnswer
    | m.Begin
    | m.Debug
    | m.RecallAttempt
    | m.Ping
    | m.DigestAsked
    | AnswerMessage
    | MailMessage
    | m.FrameAck
    | m.Stop
    | ToPeers
)
Packed = list[tuple[str, list[ToWorker]]]
