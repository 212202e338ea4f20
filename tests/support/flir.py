"""The smallest valid files of FLIR, from the published structure (no free writer exists).

https://exiftool.org/TagNames/FLIR.html: a header of 64 bytes, a directory of 32 bytes a record,
the settings of the camera (record 32), the raw counts (record 1).
"""

import io
import struct

import numpy as np

SETTINGS = {
    0x20: 0.97, 0x24: 1.5, 0x28: 295.15, 0x2C: 294.15, 0x30: 293.15, 0x34: 0.99, 0x3C: 0.45,
    0x58: 21106.77, 0x5C: 1501.0, 0x60: 1.0,
    0x70: 0.006569, 0x74: 0.01262, 0x78: -0.002276, 0x7C: -0.00667, 0x80: 1.9,
}  # fmt: skip
EMPTY = 2  # empty entries at the end of the directory; flyr does not see its last two entries
SERIAL = b"SERIAL-63901234"


def record_of_camera(moment_s=0.0, rate_hz=30, changes=None):
    body = bytearray(1200)
    body[:2] = b"\x02\0"
    for place, value in {**SETTINGS, **(changes or {})}.items():
        struct.pack_into("<f", body, place, value)
    body[0x104 : 0x104 + len(SERIAL)] = SERIAL
    struct.pack_into("<if", body, 0x308, -7340, 0.012545)  # Planck's O and R2
    struct.pack_into("<IHxxh", body, 0x384, int(moment_s), round(moment_s % 1 * 1000), 60)
    struct.pack_into("<H", body, 0x464, rate_hz)
    return bytes(body)


def record_of_counts(counts, form="plain"):
    head = struct.pack("<3H", 2, counts.shape[1], counts.shape[0]).ljust(32, b"\0")
    if form == "plain":
        return head + counts.astype("<u2").tobytes()
    if form == "png":
        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(counts.byteswap()).save(file, "png")
        return head + file.getvalue()
    import imagecodecs

    return head + imagecodecs.jpegls_encode(counts)


def fff(counts, *, form="plain", order="<", **camera):
    records = [(32, record_of_camera(**camera)), (1, record_of_counts(counts, form))]
    place = 64 + 32 * (len(records) + EMPTY)
    directory, bodies = b"", b""
    for kind, body in records:
        directory += struct.pack(
            f"{order}HHIIIIIII", kind, 0, 100, 1, place + len(bodies), len(body), 0, 0, 0
        )
        bodies += body
    directory += bytes(32 * EMPTY)
    head = b"FFF\0" + b"ResearchIR".ljust(16, b"\0")
    head += struct.pack(f"{order}III", 100, 64, len(records) + EMPTY)
    return head.ljust(64, b"\0") + directory + bodies


def jpeg(counts, **how):
    """A picture whose segments hold an FFF, which is big-endian there."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), "u1")).save(file, "jpeg")
    whole, data = file.getvalue(), fff(counts, order=">", **how)
    pieces = [data[i : i + 60000] for i in range(0, len(data), 60000)]
    segments = b""
    for i, piece in enumerate(pieces):
        body = b"FLIR\0\x01" + bytes([i, len(pieces) - 1]) + piece
        segments += b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    return whole[:2] + segments + whole[2:]
