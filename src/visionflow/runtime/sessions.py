"""Sessions: the orchestrator's end of the conversation with its workers.

Whatever is ready for a worker when a record is durable leaves as one frame. A worker's frames
are acknowledged, cumulatively, once the log holds what they said.
"""

from collections.abc import Callable

import msgspec

from visionflow.domain import commands as c
from visionflow.domain import messages as m
from visionflow.domain import supervision_commands as sc
from visionflow.domain.agents import AgentSpec
from visionflow.domain.errors import BusClosed
from visionflow.domain.limits import FRAME_BYTES_MAX
from visionflow.domain.supervision import Advice
from visionflow.domain.tasks import FailureKind
from visionflow.engine.effects import Cancel, Debug, Drop, Host, dispatch
from visionflow.engine.state import Answer, SwarmState
from visionflow.ports.blobs import Blobs
from visionflow.ports.bus import Bus, Delivery
from visionflow.ports.host import Host as Machine
from visionflow.ports.telemetry import Telemetry
from visionflow.runtime import outside
from visionflow.runtime.advising import ASKED_ABOUT, Advising
from visionflow.runtime.asks import AnswerMessage
from visionflow.runtime.children import Children
from visionflow.runtime.control_plane import ControlPlane
from visionflow.runtime.liveness import Liveness
from visionflow.runtime.mail import MailMessage, handed_of
from visionflow.runtime.meshing import ToPeers, may_be_running
from visionflow.runtime.shares import AgentLines
from visionflow.runtime.told import Packed, ToWorker
from visionflow.runtime.vetting import Vetting

Progress = Callable[[str, int, float | None, str], None]

PARCEL_BYTES_MIN = 1_048_576
"""Results of dependencies and steps travel in the frame up to this size together."""

DURATION_US_MAX = 365 * 86_400 * 1_000_000
"""No attempt takes longer, whatever its worker says; and none takes less than no time."""
SIGNALS = msgspec.msgpack.encode((0, ()))[:2]
"""What a frame of signals begins with."""
_frames = msgspec.msgpack.Decoder(m.WorkerFrame)
_encoder = msgspec.msgpack.Encoder()


class Sessions:
    """Hears workers and speaks to them. `on_progress` and `on_line` get their signals."""

    def __init__(
        self,
        swarm: str,
        control: ControlPlane,
        bus: Bus,
        host: Machine,
        children: Children,
        liveness: Liveness,
        telemetry: Telemetry,
        blobs: Blobs,
    ) -> None:
        self.on_rejoin: Callable[[str], None] = lambda _: None
        self.on_progress: list[Progress] = []
        self.on_pong: Callable[[str, int, int], None] = lambda worker, incarnation, number: None
        """Told of each answer to a ping."""
        self.on_change: Callable[[str, int], None] = lambda worker, incarnation: None
        """Told of a worker whose connection is gone, and of a suspect that is heard."""
        self.on_ask: Callable[[str, object], bool] = lambda worker, message: False
        """Told of what an attempt asks of its swarm; whether it was that."""
        self.on_beat: Callable[[m.Heartbeat], None] = lambda _: None
        self.advising: Advising | None = None
        """Whom to ask about failures first."""
        self._control = control
        self._bus = bus
        self._host = host
        self._children = children
        self._liveness = liveness
        self._telemetry = telemetry
        self._blobs = blobs
        self._lines = AgentLines(host, telemetry, control.state)
        self._vetting = Vetting(control, host, children, telemetry)
        self._joined: dict[str, int] = {}
        self._acked: dict[str, tuple[int, int]] = {}
        """By worker: its incarnation, and the last of its frames that is in the log."""
        self._packing: dict[str, list[ToWorker]] = {}
        self._holder: dict[str, tuple[str, int]] = {}
        self.behind: dict[str, None] = {}
        """Workers that may have missed something, until all that is outstanding is sent again."""
        self._subscriptions = [
            bus.subscribe(f"orch.{swarm}.cmd", self._receive),
            bus.subscribe(f"orch.{swarm}.hb", self._beat),
        ]

    def close(self) -> None:
        """Hear nothing more."""
        for subscription in self._subscriptions:
            subscription.cancel()
        self._lines.close()

    # To workers ----------------------------------------------------------------------------

    def deliver(self, state: SwarmState, name: str, attempt: int) -> None:
        """Pack the delivery of an attempt, if it is still the open one."""
        task = state.tasks.get(name)
        if task is None or task.attempt != attempt or task.agent is None:
            return
        worker = state.agents[task.agent].worker
        message = dispatch(state, task)
        self._pack(worker, self.parcelled(message))
        self._holder[name] = (worker, attempt)

    def recall(self, state: SwarmState, name: str, attempt: int) -> None:
        """Pack the question whether an attempt has begun, and its recall if not; after its
        delivery, where both leave together."""
        task = state.tasks.get(name)
        if task is None or task.attempt != attempt or task.agent is None:
            return
        why = "it was asked back"
        self._pack(state.agents[task.agent].worker, m.RecallAttempt(name, attempt, why))

    def pack_for_peers(self, worker: str, message: ToPeers) -> None:
        """Pack what peers of a mesh are to be told."""
        self._pack(worker, message)

    def parcelled(self, message: m.Dispatch) -> m.Dispatch:
        """The same, with what is too large for a frame stored elsewhere."""
        if not message.dependencies and not message.steps:
            return message
        payloads = [step.value for step in message.steps]
        payloads += [payload for _, payload in message.dependencies]
        if sum(len(payload.inline or b"") for payload in payloads) < PARCEL_BYTES_MIN:
            return message
        parcel = self._blobs.put(_encoder.encode(m.Parcel(message.steps, message.dependencies)))
        return msgspec.structs.replace(message, steps=(), dependencies=(), parcel=parcel)

    def host(self, effect: Host, spec: AgentSpec) -> None:
        """Pack the order to build an agent."""
        self._pack(effect.worker, m.HostAgent(spec, effect.revision))

    def hand(self, state: SwarmState, name: str, delivery: int) -> None:
        """Pack a message for an agent, if it still waits."""
        handed = handed_of(state.mail, name, delivery)
        if handed is not None:
            self._pack(state.agents[name].worker, handed)

    def abandon(self, task: str, attempt: int, reason: str) -> None:
        """Pack the order to stop an attempt that the engine has given up."""
        held = self._holder.pop(task, None)
        if held is not None and held[1] == attempt:
            self._pack(held[0], m.CancelAttempt(task, attempt, reason))

    def drop(self, effect: Drop) -> None:
        """Have an agent ended."""
        self._send(effect.worker, [m.DropAgent(effect.agent)])

    def cancel(self, effect: Cancel) -> None:
        """Have an attempt stopped."""
        self._send(effect.worker, [m.CancelAttempt(effect.task, effect.attempt, effect.reason)])

    def debug(self, effect: Debug) -> None:
        """Have an agent's lines of level debug kept, for as long as is left."""
        for_ms = max(0, effect.until_ms - self._host.now_ms())
        self._send(effect.worker, [m.Debug(effect.agent, for_ms)])

    def answer(self, worker: str, message: AnswerMessage | MailMessage) -> None:
        """Answer what an attempt asked of its swarm, or tell its agent something."""
        self._send(worker, [message])

    def ping(self, worker: str, message: m.Ping | m.DigestAsked) -> bool:
        """Ask a worker for an answer now; whether there is a connection to ask it over."""
        self._send(worker, [message])
        return worker in self._joined

    def stop(self, worker: str) -> None:
        """Have a worker end."""
        self._send(worker, [m.Stop("nothing needs it any more")])

    def _pack(self, worker: str, message: ToWorker) -> None:
        packing = self._packing.get(worker)
        if packing is None:
            packing = self._packing[worker] = []
        packing.append(message)

    def pack(self) -> Packed:
        """What was packed since the last call."""
        packed = list(self._packing.items())
        self._packing = {}
        return packed

    def send(self, packed: Packed) -> None:
        """Send it. What nobody hears now is outstanding still, and is sent on a rejoin; and mail
        comes in its turn then, behind what was missed."""
        for worker, messages in packed:
            if worker in self.behind:
                self._send(worker, [each for each in messages if type(each) is not m.MailHanded])
            else:
                self._send(worker, messages)

    def _send(self, worker: str, messages: list[ToWorker]) -> None:
        if not messages or worker not in self._joined:
            return
        body = _encoder.encode((messages,))
        if len(body) > FRAME_BYTES_MAX // 2 and len(messages) > 1:
            middle = len(messages) // 2
            self._send(worker, messages[:middle])
            self._send(worker, messages[middle:])
            return
        try:
            self._bus.publish(f"worker.{worker}", body)
        except BusClosed:
            self._telemetry.log("warning", None, "bus_closed", f"{worker} hears nothing")

    # From workers --------------------------------------------------------------------------

    def disconnected(self, sender: str) -> None:
        """The connection of `worker.incarnation` is gone; the process may live and dial again."""
        found = self._source(sender)
        if found is not None:
            worker, incarnation = found
            del self._joined[worker]
            self.behind[worker] = None
            self._liveness.left(worker, incarnation)
            self.on_change(worker, incarnation)

    def _beat(self, delivery: Delivery) -> None:
        frame = self._frame(delivery)
        for message in () if frame is None else frame.messages:
            if isinstance(message, m.Heartbeat):
                self._heard(message, delivery.sender)

    def _frame(self, delivery: Delivery) -> m.WorkerFrame | None:
        """What came, unless it is too much or cannot be read."""
        sender, payload = delivery.sender, delivery.payload
        is_signal = payload[: len(SIGNALS)] == SIGNALS
        if is_signal and not self._vetting.admits_signal(sender, len(payload)):
            return None
        try:
            frame = _frames.decode(payload)
        except msgspec.DecodeError as error:
            self._vetting.stranger(sender, f"a frame that cannot be read: {error}")
            return None
        # Its number may be written so that it does not look like nought.
        if frame.number or is_signal or self._vetting.admits_signal(sender, len(payload)):
            return frame
        return None

    def _heard(self, beat: m.Heartbeat, sender: str | None) -> None:
        if not self._vetting.is_own(sender, beat):
            return
        self._liveness.heard(beat)
        self.on_beat(beat)
        if beat.worker in self._control.state.supervised.suspects:
            self.on_change(beat.worker, beat.incarnation)

    def _receive(self, delivery: Delivery) -> None:
        frame = self._frame(delivery)
        if frame is None:
            return
        messages = frame.messages
        if messages and isinstance(messages[0], m.Hello):
            self._hello(messages[0], delivery)
            return
        found = self._source(delivery.sender)
        if found is None:
            return
        worker, incarnation = found
        if frame.number and not self._vetting.admits(worker, incarnation):
            del self._joined[worker]
            return
        for message in messages:
            if isinstance(message, m.Heartbeat):
                self._heard(message, delivery.sender)
            elif self._vetting.believes(worker, incarnation, frame.number, message):
                self._take(worker, incarnation, message)
            elif isinstance(message, m.StepDone):
                refused = m.StepAnswer(message.task, message.attempt, message.key, False)
                self._send(worker, [refused])
        if frame.number:
            self._control.in_order(lambda _: self._ack(worker, incarnation, frame.number))

    def _source(self, sender: str | None) -> tuple[str, int] | None:
        """Worker and incarnation that a message came from, while that is the joined one."""
        if sender is None:
            return None
        worker, _, number = sender.rpartition(".")
        if not number.isdigit() or self._joined.get(worker) != int(number):
            return None
        return worker, int(number)

    def _hello(self, hello: m.Hello, delivery: Delivery) -> None:
        worker, incarnation = hello.worker, hello.incarnation
        known = self._children.admits(worker, incarnation, hello.secret, hello.pid)
        if not known or delivery.sender not in (None, f"{worker}.{incarnation}"):
            # To whom it came from, not to whom it speaks of.
            source = worker if delivery.sender is None else delivery.sender.rpartition(".")[0]
            self._reject(source, "this worker is not expected")
            self._vetting.stranger(delivery.sender, f"it says that it is {worker}.{incarnation}")
            return
        is_kept = self._children.awaits(worker)
        if hello.protocol != m.PROTOCOL:
            reason = f"it speaks version {hello.protocol} of the messages, not {m.PROTOCOL}"
            if not is_kept:
                # It was started by this orchestrator, from files that are of another version now.
                reason += "; VisionFlow was upgraded meanwhile: start its server once more"
            self._reject(worker, reason)
            self._children.give_up(worker, incarnation, FailureKind.KILLED, reason)
            return
        self._joined[worker] = incarnation
        self._children.joined(worker)
        if hello.leaving:
            self._children.expect_end(worker)
        self._liveness.expect(worker, incarnation)
        if worker in self._control.state.supervised.suspects:
            self.on_change(worker, incarnation)
        before = self._acked.get(worker, (0, 0))
        again = before[0] == incarnation
        if again:
            self.behind[worker] = None
        else:
            self.behind.pop(worker, None)
            self._acked[worker] = (incarnation, 0)

        def joined(_: Answer) -> None:
            if self._joined.get(worker) == incarnation:
                self._send(worker, [m.Welcome(self._acked[worker][1])])
                self._compare(worker, incarnation, hello.attempts)
                if again:
                    self.on_rejoin(worker)

        now_ms = self._host.now_ms()
        command: c.AnyCommand
        if is_kept:
            command = sc.ReportWorkerAdopted(
                now_ms=now_ms, worker=worker, incarnation=incarnation, attempts=hello.attempts
            )
        else:
            command = c.ReportWorkerJoined(now_ms=now_ms, worker=worker, incarnation=incarnation)
        self._control.offer(command, joined, bounded=False)

    def _reject(self, worker: str, reason: str) -> None:
        self._bus.publish(f"worker.{worker}", _encoder.encode(([m.Rejected(reason)],)))

    def _compare(self, worker: str, incarnation: int, held: tuple[tuple[str, int], ...]) -> None:
        """Have a worker that (re)joined stop what was given up meanwhile."""
        state, stale = self._control.state, list[ToWorker]()
        for name, attempt in held:
            if may_be_running(state, worker, name, attempt):
                continue
            task = state.tasks.get(name)
            agent = None if task is None or task.agent is None else state.agents[task.agent]
            if task is None or task.attempt != attempt or agent is None or agent.worker != worker:
                reason = "it was given up while its worker could not be reached"
                stale.append(m.CancelAttempt(name, attempt, reason))
            else:
                self._holder[name] = (worker, attempt)

        def tell() -> None:
            if self._joined.get(worker) == incarnation:
                self._send(worker, stale)

        if stale:
            # What the state says of them may not be durable yet.
            self._control.after_commit(tell)

    def _ack(self, worker: str, incarnation: int, number: int) -> None:
        """Everything up to this frame is in the log now."""
        self._vetting.settled(worker, incarnation)
        known, acked = self._acked[worker]
        if known != incarnation:
            return
        self._acked[worker] = (incarnation, max(number, acked))
        self._send(worker, [m.FrameAck(self._acked[worker][1])])

    def _take(self, worker: str, incarnation: int, message: object) -> None:
        now_ms, control = self._host.now_ms(), self._control
        match message:
            case m.Result():
                command = c.ReportResult(
                    now_ms=now_ms,
                    task=message.task,
                    attempt=message.attempt,
                    result=message.value,
                    duration_us=min(max(0, message.duration_us), DURATION_US_MAX),
                )
                self._holder.pop(message.task, None)
                control.offer(command, bounded=False)
            case m.Started():
                self._started(worker, message, now_ms)
            case m.Failed():
                self._failed(worker, message)
            case m.StepDone():
                self._step(worker, message, now_ms)
            case m.EffectAsked() | m.EffectDone():
                outside.take(control, now_ms, message, lambda a: self._send(worker, [a]))
            case m.Progress():
                for call in self.on_progress:
                    call(message.task, message.attempt, message.fraction, message.note)
            case m.Pong():
                self.on_pong(worker, incarnation, message.number)
            case m.LogLine():
                one = (message.agent, message.level, message.text, message.left_out)
                self._lines.write(worker, *one)
            case _:
                if not self.on_ask(worker, message):
                    self._take_agent(worker, incarnation, message, now_ms)

    def _failed(self, worker: str, message: m.Failed) -> None:
        def report(advice: Advice | None) -> None:
            failure = c.ReportFailure(
                now_ms=self._host.now_ms(),
                task=message.task,
                attempt=message.attempt,
                kind=message.kind,
                reason=message.reason,
                entropy=self._host.entropy(),
                wait_ms=message.wait_ms,
                effect=message.effect,
                circuit=message.circuit,
                shared=message.shared,
                machine_bytes=self._children.machine_bytes(worker),
                advice=advice,
            )
            self._control.offer(failure, bounded=False)

        self._holder.pop(message.task, None)
        if self.advising is not None and message.kind in ASKED_ABOUT:
            self.advising.of_task(message.task, message.kind, message.reason, report)
        else:
            report(None)

    def _take_agent(self, worker: str, incarnation: int, message: object, now_ms: int) -> None:
        if isinstance(message, m.AgentUp):
            command = c.ReportAgentUp(
                now_ms=now_ms,
                agent=message.agent,
                worker=worker,
                incarnation=incarnation,
                revision=message.revision,
            )
            self._control.offer(command, bounded=False)
        elif isinstance(message, m.AgentDown):
            self._agent_down(worker, incarnation, message)
        elif isinstance(message, m.Batches):
            batches = sc.ReportBatches(
                now_ms=now_ms,
                agent=message.agent,
                worker=worker,
                incarnation=incarnation,
                types=message.types,
            )
            self._control.offer(batches, bounded=False)

    def _agent_down(self, worker: str, incarnation: int, message: m.AgentDown) -> None:
        def report(advice: Advice | None) -> None:
            down = c.ReportAgentDown(
                now_ms=self._host.now_ms(),
                agent=message.agent,
                worker=worker,
                incarnation=incarnation,
                reason=message.reason,
                ended=message.ended,
                revision=message.revision,
                advice=advice,
            )
            self._control.offer(down, bounded=False)

        if self.advising is None or message.ended:
            report(None)
        else:
            self.advising.of_agent(message.agent, message.reason, report)

    def _started(self, worker: str, message: m.Started, now_ms: int) -> None:
        def answered(_: Answer) -> None:
            self._send(worker, [m.Begin(message.task, message.attempt)])

        command = c.ReportStarted(now_ms=now_ms, task=message.task, attempt=message.attempt)
        self._control.offer(command, answered if message.waits else None, bounded=False)

    def _step(self, worker: str, message: m.StepDone, now_ms: int) -> None:
        def answered(answer: Answer) -> None:
            reply = m.StepAnswer(message.task, message.attempt, message.key, answer.code is None)
            self._send(worker, [reply])

        command = c.ReportStep(
            now_ms=now_ms,
            task=message.task,
            attempt=message.attempt,
            key=message.key,
            name=message.name,
            value=message.value,
            tree=message.tree,
        )
        self._control.offer(command, answered, bounded=False)
