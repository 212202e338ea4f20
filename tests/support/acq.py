"""The smallest valid file of Biopac (AcqKnowledge 3.7.3), since no free writer exists.

The structure is that of Biopac's application note 156, in the words of bioread's headers.
"""

from bioread import headers

REVISION = 39


def _record(kind, **fields):
    made = kind.for_revision(REVISION, "<")._struct_class()
    for name, value in fields.items():
        setattr(made, name, value)
    return bytes(made)


def _length(kind):
    return kind.for_revision(REVISION, "<").struct_length


def written(path, counts, rate_hz, labels, units, scale, offset, marks=()):
    """Write counts ``(channel, time)``; the value of a count is ``count * scale + offset``."""
    graph = _record(
        headers.GraphHeader, lVersion=REVISION, lExtItemHeaderLen=_length(headers.GraphHeader),
        nChannels=len(counts), dSampleTime=1000 / rate_hz,
    )  # fmt: skip
    channels = b"".join(
        _record(
            headers.ChannelHeader, lChanHeaderLen=_length(headers.ChannelHeader), nNum=i,
            szCommentText=label.encode("latin1"), szUnitsText=unit.encode("latin1"),
            lBufLength=counts.shape[1], dAmplScale=scale, dAmplOffset=offset, nChanOrder=i,
            nVarSampleDivider=1,
        )
        for i, (label, unit) in enumerate(zip(labels, units, strict=True))
    )  # fmt: skip
    foreign = _record(headers.ForeignHeader, nLength=4)
    types = _record(headers.ChannelDTypeHeader, nSize=2, nType=2) * len(counts)
    data = counts.T.astype("<i2").tobytes()
    items = b"".join(
        _record(headers.MarkerItemHeader, lSample=sample, nTextLength=len(text))
        + text.encode("latin1") + b"\0"
        for sample, text in marks
    )  # fmt: skip
    head = _record(headers.MarkerHeader, lLength=8 + len(items), lMarkers=len(marks))
    journal = _record(headers.JournalHeader, tag=(0x44, 0x33, 0x22, 0x11))
    path.write_bytes(graph + channels + foreign + types + data + head + items + journal)
    return path
