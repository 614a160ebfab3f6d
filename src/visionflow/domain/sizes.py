"""Sizes as people write them: memory such as `4Gi`, processor time such as `1.5` or `2000m`."""

import re

_MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(Ki|Mi|Gi|Ti|k|M|G|T)?")
_FACTORS = {
    None: 1,
    "Ki": 1 << 10,
    "Mi": 1 << 20,
    "Gi": 1 << 30,
    "Ti": 1 << 40,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
}
_CPU = re.compile(r"([0-9]+)m|([0-9]+(?:\.[0-9]+)?)")
MEMORY_FORMS = 'Write bytes, or a number with Ki, Mi, Gi (1024) or k, M, G (1000): "512Mi".'
CPU_FORMS = 'Write processors ("1.5") or thousandths of one ("1500m").'


def memory_bytes(text: str | int | float) -> int | None:
    """Bytes; `None` when this is no size above zero."""
    found = _MEMORY.fullmatch(str(text))
    if found is None or isinstance(text, bool):
        return None
    return int(float(found[1]) * _FACTORS[found[2]]) or None


def cpu_millis(text: str | int | float) -> int | None:
    """Thousandths of a processor; `None` when this is no amount above zero."""
    found = _CPU.fullmatch(str(text))
    if found is None or isinstance(text, bool):
        return None
    millis = int(found[1]) if found[1] else round(float(found[2]) * 1000)
    return millis or None


def memory_text(size: int) -> str:
    """Bytes as one of the forms that `memory_bytes` reads back to the same number."""
    for unit, factor in (("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)):
        if size % factor == 0 and size:
            return f"{size // factor}{unit}"
    return str(size)
