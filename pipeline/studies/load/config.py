"""Parameters of the load test (``conf/load/default.yaml``)."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.core.errors import ConfigError


@dataclass(frozen=True)
class TargetConfig:
    """A bundle to serve.

    Attributes:
        name: how reports call it.
        bundle: its folder.
        max_new_tokens: most steps a request asks for; what ends random weights.
        server_options: further words of the command ``chattts-onnx serve``.
        naive: serve it by the naive server as well.
    """

    name: str
    bundle: str
    max_new_tokens: int
    server_options: list[str] = field(default_factory=list)
    naive: bool = True


@dataclass(frozen=True)
class LoadGates:
    """What the product's server has to keep on the target ``target``.

    Attributes:
        target: name of the target.
        failures: failed requests at most, in all runs of it.
        first_audio_p99_seconds: at most, in the run of ``seconds``.
        memory_growth: at most, from the soak's second minute to its last, as a share.
        clause_over_http: first audio after the first clause of a text that is still being written,
            over that of the same clause alone over HTTP, at most; the median of all rounds.
    """

    target: str
    failures: int
    first_audio_p99_seconds: float
    memory_growth: float
    clause_over_http: float


@dataclass(frozen=True)
class LoadConfig:
    """Who asks for what, how long, and what is served.

    Attributes:
        users: users at once.
        websocket_users: how many of them write their texts word by word over a WebSocket.
        spawn_rate: users that arrive in a second.
        seconds: length of a run, the arrival of the users included.
        soak_seconds: length of the soak on the gates' target; 0 leaves it out.
        pause_seconds: least and most time between an answer's last byte and the next request.
        voices: different voices that are asked for.
        seed: of the users' choices.
        ready_seconds: time a server may take to start.
        targets: what is served, one after the other.
        gates: what must hold.
        talk_rounds: how often a clause is compared over HTTP and over a WebSocket, without others.
        texts: what users ask for.
        clauses: what is compared: a clause, a comma, and the rest of a sentence.
    """

    users: int
    websocket_users: int
    spawn_rate: float
    seconds: float
    soak_seconds: float
    pause_seconds: tuple[float, float]
    voices: int
    seed: int
    ready_seconds: float
    targets: list[TargetConfig]
    gates: LoadGates
    talk_rounds: int
    texts: list[str] = field(default_factory=list)
    clauses: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.users < 1 or self.spawn_rate <= 0 or self.seconds <= 0 or self.voices < 1:
            raise ConfigError("users, spawn_rate, seconds and voices are to be more than 0.")
        if not 0 <= self.websocket_users < self.users:
            raise ConfigError(
                f"websocket_users is {self.websocket_users}, expected 0 or more, and less than "
                f"users ({self.users})."
            )
        if self.soak_seconds < 0 or 0 < self.soak_seconds < 180:
            raise ConfigError(
                f"soak_seconds is {self.soak_seconds:g}, expected 0 or at least 180: its last "
                "minute is compared with its second."
            )
        low, high = self.pause_seconds
        if not 0 <= low <= high:
            raise ConfigError(f"pause_seconds is {self.pause_seconds}, expected low to high.")
        if not self.texts or not self.targets or not self.clauses:
            raise ConfigError("texts, clauses and targets are to be named.")
        if any("," not in text for text in self.clauses) or self.talk_rounds < 1:
            raise ConfigError("each of clauses needs a comma, and talk_rounds is to be at least 1.")
        if self.gates.target not in [target.name for target in self.targets]:
            raise ConfigError(f"gates.target {self.gates.target!r} is none of the targets.")
