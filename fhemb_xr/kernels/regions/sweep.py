"""The compiled sweep of registration: frame by frame, each from the same first map."""

import numpy as np

from fhemb_xr.kernels._jit import kernel
from fhemb_xr.kernels.time_frequency.gap_filling import solve

_STEPS = 30
_STILL, _SLOW = 0.01, 0.1
"""Pixels by which no corner moves any more; and by which it may after all steps."""
_LONGEST = 1.5
"""Pixels by which a corner moves in one step."""
_REACH = 3
"""Steps of the search to either side, before the fine work."""
_FEWEST = 0.5
_LEAST_GAIN, _MOST_GAIN = 0.2, 5.0


@kernel
def sweep(frames, places, values, columns, products, start, weights, out):
    """Register frames ``(t, y, x)``; ``out``: maps, contrast, residual, sums, total, count."""
    maps, contrast, residual, sums, total, count = out
    q = columns.shape[1]
    k = q - contrast.shape[1]
    pixels, seen = np.empty(len(values)), np.empty(len(values), np.bool_)
    at, left, right = np.empty(6), np.empty((q, q)), np.empty((2, q))
    half = np.sqrt(abs(start[0] * start[4] - start[1] * start[3]))
    for t in range(len(frames)):
        for i in range(6):
            at[i] = start[i]
        if not _search(frames[t], places, values, at, half / 8):
            continue
        rest = _refine(frames[t], places, columns, products, at, (pixels, seen, left, right), k)
        if not (rest >= 0 and _within(at, start, half)):
            continue
        _sampled(frames[t], places, at, pixels, seen)
        residual[t] = rest
        for i in range(6):
            maps[t, i] = at[i]
        for i in range(k, q):
            contrast[t, i - k] = right[0, i]
        mean = _mean(pixels, seen)
        for i in range(len(values)):
            if seen[i]:
                total[i] += pixels[i] - mean
                count[i] += 1
                for r in range(len(weights)):
                    sums[t, r, 0] += weights[r, i] * pixels[i]
                    sums[t, r, 1] += weights[r, i]


@kernel
def _refine(frame, places, columns, products, at, room, k):
    """Improve the map until it is still; what is left over, or -1 if it is lost on the way."""
    n, q = columns.shape
    pixels, seen, left, right = room
    half = np.sqrt(abs(at[0] * at[4] - at[1] * at[3]))
    for turn in range(_STEPS):
        found = _sampled(frame, places, at, pixels, seen)
        if found < _FEWEST * n or found <= q:
            return -1.0
        squares = _equations(pixels, seen, columns, products, left, right)
        if not solve(left, right[0]):
            return -1.0
        gain = 0.0
        for j in range(k, q):
            gain += products[k + 1, j] * right[0, j] / products[k + 1, k + 1]
        if not _LEAST_GAIN < gain < _MOST_GAIN:
            return -1.0
        # half steps at last: pixels at a border that come and go would keep it in a circle
        slower = max(gain, 1.0) * (1.0 if turn < _STEPS // 2 else 2.0)
        moved = half * _compose(at, right[0], slower, k, _LONGEST / half)
        if moved < (_STILL if turn < _STEPS - 1 else _SLOW):
            for j in range(q):
                squares -= right[1, j] * right[0, j]
            return np.sqrt(max(squares, 0.0) / (found - q))
    return -1.0


@kernel
def _search(frame, places, values, at, step):
    """Move a map to where whole steps are most like the reference; False if it is nowhere."""
    rows, columns = frame.shape
    step = max(step, 1.0)
    best, to_x, to_y, level = -2.0, 0.0, 0.0, _level(frame)
    for i in range(-_REACH, _REACH + 1):
        for j in range(-_REACH, _REACH + 1):
            n, a, b, aa, bb, ab = 0, 0.0, 0.0, 0.0, 0.0, 0.0
            for p in range(len(values)):
                u, v = places[p, 0], places[p, 1]
                x = int(np.floor(at[0] * u + at[1] * v + at[2] + j * step + 0.5))
                y = int(np.floor(at[3] * u + at[4] * v + at[5] + i * step + 0.5))
                if 0 <= x < columns and 0 <= y < rows and np.isfinite(frame[y, x]):
                    w = frame[y, x] - level
                    n += 1
                    a += w
                    b += values[p]
                    aa += w * w
                    bb += values[p] * values[p]
                    ab += w * values[p]
            if n >= _FEWEST * len(values):
                va, vb = aa - a * a / n, bb - b * b / n
                if va > 0 and vb > 0:
                    r = (ab - a * b / n) / np.sqrt(va * vb)
                    # where less is seen, a higher correlation is by chance
                    r *= n / len(values)
                    if r > best:
                        best, to_x, to_y = r, j * step, i * step
    at[2] += to_x
    at[5] += to_y
    return best > 0


@kernel
def _level(frame):
    """Some temperature of the frame, near which sums of squares lose nothing."""
    for i in range(frame.shape[0]):
        for j in range(frame.shape[1]):
            if np.isfinite(frame[i, j]):
                return frame[i, j]
    return 0.0


@kernel
def _sampled(frame, places, at, pixels, seen):
    """The frame where the map puts the reference, by lines between pixels; how many it has."""
    rows, columns = frame.shape
    found = 0
    for p in range(len(places)):
        u, v = places[p, 0], places[p, 1]
        x = at[0] * u + at[1] * v + at[2]
        y = at[3] * u + at[4] * v + at[5]
        seen[p] = False
        if not (0 <= x <= columns - 1 and 0 <= y <= rows - 1):
            continue
        i, j = min(int(y), rows - 2), min(int(x), columns - 2)
        a, b = x - j, y - i
        value = (1 - b) * ((1 - a) * frame[i, j] + a * frame[i, j + 1]) + b * (
            (1 - a) * frame[i + 1, j] + a * frame[i + 1, j + 1]
        )
        if np.isfinite(value):
            seen[p] = True
            pixels[p] = value
            found += 1
    return found


@kernel
def _mean(pixels, seen):
    total, found = 0.0, 0
    for p in range(len(pixels)):
        if seen[p]:
            total += pixels[p]
            found += 1
    return total / found


@kernel
def _equations(pixels, seen, columns, products, left, right):
    """Normal equations of the pixels that are there, and the sum of their squares."""
    n, q = columns.shape
    for i in range(q):
        right[0, i] = 0.0
        for j in range(q):
            left[i, j] = products[i, j]
    mean, squares = _mean(pixels, seen), 0.0
    for p in range(n):
        if seen[p]:
            value = pixels[p] - mean
            squares += value * value
            for j in range(q):
                right[0, j] += columns[p, j] * value
        else:
            for i in range(q):
                for j in range(q):
                    left[i, j] -= columns[p, i] * columns[p, j]
    for i in range(q):
        right[1, i] = right[0, i]
    return squares


@kernel
def _compose(at, step, gain, k, longest):
    """Take a movement of the reference back from the map; the largest move, in half sides."""
    xx, xy, yx, yy = 0.0, 0.0, 0.0, 0.0
    if k == 2:
        x, y = step[0], step[1]
    elif k == 6:
        x, xx, xy = step[0], step[1], step[2]
        y, yx, yy = step[3], step[4], step[5]
    else:
        x, y = step[0], step[1]
        xx, yy, xy, yx = step[2], step[2], -step[3], step[3]
    moved = max(abs(x) + abs(xx) + abs(xy), abs(y) + abs(yx) + abs(yy)) / gain
    less = min(1.0, longest / moved) / gain if moved > 0 else 1.0 / gain
    a, b, c, e = 1 + xx * less, xy * less, yx * less, 1 + yy * less
    det = a * e - b * c
    i00, i01, i10, i11 = e / det, -b / det, -c / det, a / det
    t0, t1 = -(i00 * x + i01 * y) * less, -(i10 * x + i11 * y) * less
    for row in range(2):
        u, v = at[3 * row], at[3 * row + 1]
        at[3 * row + 2] += u * t0 + v * t1
        at[3 * row] = u * i00 + v * i10
        at[3 * row + 1] = u * i01 + v * i11
    return moved


@kernel
def _within(at, start, half):
    """Whether a map is still one of the same face: not far, not much larger or smaller."""
    for row in range(2):
        if not abs(at[3 * row + 2] - start[3 * row + 2]) < 0.8 * half:
            return False
    det = at[0] * at[4] - at[1] * at[3]
    was = start[0] * start[4] - start[1] * start[3]
    return 0.4 * was < det < 2.5 * was
