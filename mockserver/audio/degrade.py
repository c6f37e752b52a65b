"""Bad lines and bad rooms, made on purpose: noise, a telephone, overdriven microphones, lost packets, hurried speech.

Mono int16 samples in, mono int16 samples out, at any rate from 8 kHz on. The same samples, settings and seed give the
same result on one machine. Another processor may round single samples by one step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_never

from mockserver.audio.codecs import decode, encode, resample
from mockserver.audio.formats import AudioFormat, Samples

Noise = Literal["pink", "white"]
NOISES: tuple[Noise, ...] = get_args(Noise)
Floats = NDArray[np.float64]

LEAST_RATE = 8000  # Hz
FULL_SCALE = 32767
TELEPHONE = AudioFormat("pcmu", 8000)
PASSED_HZ = (300, 3400)  # the voice band of ITU-T G.712
TAPS = 255  # at 8 kHz: the band's edges are 60 Hz wide
FRAME_S = 0.02
SPEECH_FLOOR = 0.1  # of the loudest frame: quieter ones are pauses
PACKET_S = 0.02
PACKETS_LOST_AT_ONCE = 3  # on average
WINDOW_S = 0.03
SEARCH_S = 0.008


@dataclass(frozen=True, slots=True, kw_only=True)
class Degradation:
    """How sound gets worse, in this order: speed, noise, clipping, telephone, drop-outs.

    Raises ValueError for a value out of its range.
    """

    snr_db: float | None = None
    """Level of the speech, its pauses left out, over the noise: -20 to 60 dB. None adds no noise."""
    noise: Noise = "pink"
    """`pink` has as much energy in each octave, `white` in each hertz."""
    telephone: bool = False
    """The band from 300 to 3400 Hz, through µ-law at 8 kHz."""
    clip_db: float = 0.0
    """By how much the loudest sample passes full scale, where it is cut off: 0 to 40 dB."""
    dropouts: float = 0.0
    """Share of the time that is silenced, in packets of 20 ms, a few in a row: 0 to 0.5."""
    speed: float = 1.0
    """Times as fast, at the same pitch: 0.5 to 2."""

    def __post_init__(self) -> None:
        _within("snr_db", self.snr_db, -20, 60, "20 dB is a quiet office, 5 dB a busy street")
        _within("clip_db", self.clip_db, 0, 40, "0 clips nothing")
        _within("dropouts", self.dropouts, 0, 0.5, "0.05 loses a twentieth of the time")
        _within("speed", self.speed, 0.5, 2, "1.0 is as spoken")
        if self.noise not in NOISES:
            raise ValueError(f"noise {self.noise!r} is unknown; use {' or '.join(NOISES)}")


def degrade(
    samples: Samples,
    rate: int,
    *,
    snr_db: float | None = None,
    noise: Noise = "pink",
    telephone: bool = False,
    clip_db: float = 0.0,
    dropouts: float = 0.0,
    speed: float = 1.0,
    seed: int = 0,
) -> Samples:
    """Samples at `rate` Hz made worse, at the same rate; see `Degradation` for the settings. Left alone are those that
    are not named. The result is as long as `samples`, divided by `speed`.

    Raises ValueError for a setting out of its range, for a rate below 8000 Hz, and for noise over silence.
    """
    how = Degradation(snr_db=snr_db, noise=noise, telephone=telephone, clip_db=clip_db, dropouts=dropouts, speed=speed)
    return degraded(samples, rate, how, seed)


def degraded(samples: Samples, rate: int, how: Degradation, seed: int = 0) -> Samples:
    """`degrade`, with the settings as one value."""
    if rate < LEAST_RATE:
        raise ValueError(f"the sound has {rate} Hz; {LEAST_RATE} Hz is the least that can be degraded")
    noise_rng, loss_rng = (np.random.default_rng([seed, part]) for part in range(2))
    sound = _at_speed(samples.astype(np.float64), rate, how.speed)
    if how.snr_db is not None:
        sound = _noisy(sound, rate, how.snr_db, how.noise, noise_rng)
    if how.clip_db:
        sound = sound * (FULL_SCALE * 10 ** (how.clip_db / 20) / max(1.0, _peak(sound)))
    made = np.rint(sound).clip(-FULL_SCALE - 1, FULL_SCALE).astype(np.int16)
    if how.telephone:
        made = _telephoned(made, rate)
    return _with_losses(made, rate, how.dropouts, loss_rng) if how.dropouts else made


def speech_rms(sound: Floats, rate: int) -> float:
    """Root mean square over the frames of 20 ms that are speech: at most 20 dB quieter than the loudest frame."""
    size = max(1, round(FRAME_S * rate))
    frames = np.append(sound, np.zeros(-len(sound) % size)).reshape(-1, size)
    energies: Floats = np.mean(frames**2, axis=1)
    loudest = float(np.max(energies, initial=0.0))
    if not loudest:
        return 0.0
    return float(np.sqrt(energies[energies >= SPEECH_FLOOR**2 * loudest].mean()))


# --- One by one ---


def _noisy(sound: Floats, rate: int, snr_db: float, kind: Noise, rng: np.random.Generator) -> Floats:
    speech = speech_rms(sound, rate)
    if not speech:
        raise ValueError("the sound is silent, so no signal-to-noise ratio can be kept; give a clip with speech")
    noise = _noise(len(sound), kind, rng)
    mixed: Floats = sound + noise * (speech * 10 ** (-snr_db / 20) / np.sqrt(np.mean(noise**2)))
    mixed *= min(1.0, FULL_SCALE / max(1.0, _peak(mixed)))  # noise alone clips nothing
    return mixed


def _noise(count: int, kind: Noise, rng: np.random.Generator) -> Floats:
    white = rng.standard_normal(count)
    match kind:
        case "white":
            return white
        case "pink":
            spectrum = np.fft.rfft(white)
            spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
            spectrum[0] = 0
            return np.asarray(np.fft.irfft(spectrum, count), np.float64)
        case _:
            assert_never(kind)


def _telephoned(samples: Samples, rate: int) -> Samples:
    narrow = resample(samples, rate, TELEPHONE.rate)
    if not len(narrow):
        return np.zeros_like(samples)
    # A linear-phase filter at 8 kHz: the difference of two low passes (windowed sinc).
    at = np.arange(TAPS) - TAPS // 2
    low, high = (2 * hz / TELEPHONE.rate * np.sinc(2 * hz / TELEPHONE.rate * at) for hz in PASSED_HZ)
    voice_band = np.asarray((high - low) * np.hamming(TAPS), np.float64)
    passed = np.convolve(narrow.astype(np.float64), voice_band, "same")[: len(narrow)]
    sent = encode(np.rint(passed).clip(-FULL_SCALE - 1, FULL_SCALE).astype(np.int16), TELEPHONE)
    return _as_long_as(len(samples), resample(decode(sent, TELEPHONE), TELEPHONE.rate, rate))


def _with_losses(samples: Samples, rate: int, share: float, rng: np.random.Generator) -> Samples:
    """Packets are lost in bursts (Gilbert's model): what is lost is silent."""
    size = round(PACKET_S * rate)
    ends = 1 / PACKETS_LOST_AT_ONCE
    begins = share * ends / (1 - share)
    made: Samples = samples.copy()
    lost = bool(rng.random() < share)
    for at, draw in zip(range(0, len(made), size), rng.random(len(made) // size + 1), strict=False):
        if lost:
            made[at : at + size] = 0
        lost = draw >= ends if lost else draw < begins
    return made


def _at_speed(sound: Floats, rate: int, speed: float) -> Floats:
    """Overlapping windows are taken further apart or closer together than they are laid down, each shifted to where it
    goes on as the one before did (WSOLA)."""
    hop = round(WINDOW_S * rate) // 2
    if speed == 1 or len(sound) <= 2 * hop:
        return _as_long_as(round(len(sound) / speed), sound)
    search, length = round(SEARCH_S * rate), round(len(sound) / speed)
    padded = np.concatenate([np.zeros(search), sound, np.zeros(2 * search + 4 * hop)])
    window = 0.5 - 0.5 * np.cos(np.pi * np.arange(2 * hop) / hop)
    made, at = np.zeros(length + 4 * hop), search
    for laid in range(0, length, hop):
        made[laid : laid + 2 * hop] += window * padded[at : at + 2 * hop]
        goes_on = padded[at + hop : at + 3 * hop]
        wanted = round((laid + hop) * speed)  # is `search` further on in `padded`
        near = padded[wanted : wanted + 2 * search + 2 * hop]
        if len(near) < 2 * search + 2 * hop or len(goes_on) < 2 * hop:
            break
        likeness = np.correlate(near, goes_on, "valid")
        at = wanted + int(np.argmax(likeness)) if goes_on.any() else wanted + search
    return made[:length]


Sound = TypeVar("Sound", Samples, Floats)


def _as_long_as(count: int, sound: Sound) -> Sound:
    """The first samples of a sound, and silence where it is too short."""
    made: Sound = np.concatenate([sound[:count], np.zeros(max(0, count - len(sound)), sound.dtype)])
    return made


def _peak(sound: Floats) -> float:
    return float(np.abs(sound).max(initial=0.0))


def _within(name: str, value: float | None, least: float, most: float, meaning: str) -> None:
    if value is not None and not least <= value <= most:
        raise ValueError(f"{name} {value:g} is outside {least:g} to {most:g}; {meaning}")
