"""The mixer by hand, compiled for a CPU: scores, their gradient and Adam's step on it.

Hidden units lie next to each other, and four candidates meet four columns at a time, so that every load of a
weight is used four times. Four rows always go the same way, the last ones filled up with zeros: so the score
of a row is the same to the last bit whatever stands beside it, and equal rows tie exactly.
"""

import numpy as np

from models.compiled import allocating, compiled
from models.fast_math import is_finite
from models.mixer.layout import Floats, Integers, Parameters
from models.mixer.replay import Minibatch
from models.mixer.settings import BETA_1, BETA_2, EPSILON

LARGEST_FEATURE = 8.0
# log2(1 + u) = u + u (1 - u) (A + B u + C u^2) on [0, 1], wrong by 1.3e-4 at most and exact at both ends.
LOG_A, LOG_B, LOG_C = 0.43837933, -0.23750133, 0.08065316
LOG_SHIFT, LOG_SCALE = 1e-3, 1 / 7


@compiled
def expand(features: Floats, size: int, roots: int, expanded: Floats) -> None:
    """Fill `expanded` [at least size, D] from features [size, F]: bounded, logs of the roots, zeros.

    What is not a number counts as zero. Rows from `size` to the next whole block become zero.
    """
    width = features.shape[1]
    for row in range(size):
        for column in range(width):
            value = features[row, column]
            value = value if value == value else np.float32(0)  # only NaN is not itself
            value = min(max(value, np.float32(-LARGEST_FEATURE)), np.float32(LARGEST_FEATURE))
            expanded[row, column] = value
        for column in range(roots):
            value = expanded[row, column]
            expanded[row, width + column] = value * value + np.float32(LOG_SHIFT)
        expanded[row, width + roots :] = 0
    expanded[size : size + -size % 4] = 0
    bits = expanded.view(np.int32)  # [rows, D]: exponent and mantissa of what is positive
    for row in range(size):
        for column in range(width, width + roots):
            exponent = np.float32((bits[row, column] >> 23) - 127)
            bits[row, column] = (bits[row, column] & 0x7FFFFF) | 0x3F800000
            u = expanded[row, column] - np.float32(1)
            curve = np.float32(LOG_A) + u * (np.float32(LOG_B) + u * np.float32(LOG_C))
            log2 = exponent + u + u * (np.float32(1) - u) * curve
            expanded[row, column] = log2 * np.float32(np.log(2) * LOG_SCALE) + np.float32(1)


@allocating
def _start(context: Floats, parameters: Parameters, start: Floats) -> None:
    """Fill start [H] with what the context [Q] alone gives the hidden units."""
    start[:] = parameters.bias
    for column in range(len(context)):
        value = context[column]
        if value != 0 and is_finite(value):
            row = parameters.context[column]
            for unit in range(len(start)):
                start[unit] += value * row[unit]


@compiled
def _four(x: Floats, start: Floats, first: Floats, hidden: Floats) -> None:
    """Fill hidden [4, H] before its nonlinearity from expanded features x [4, D]."""
    h0, h1, h2, h3 = hidden[0], hidden[1], hidden[2], hidden[3]
    for unit in range(len(start)):
        h0[unit] = h1[unit] = h2[unit] = h3[unit] = start[unit]
    for k in range(0, x.shape[1], 4):
        a0, a1, a2, a3 = x[0, k], x[0, k + 1], x[0, k + 2], x[0, k + 3]
        b0, b1, b2, b3 = x[1, k], x[1, k + 1], x[1, k + 2], x[1, k + 3]
        c0, c1, c2, c3 = x[2, k], x[2, k + 1], x[2, k + 2], x[2, k + 3]
        d0, d1, d2, d3 = x[3, k], x[3, k + 1], x[3, k + 2], x[3, k + 3]
        w0, w1, w2, w3 = first[k], first[k + 1], first[k + 2], first[k + 3]
        for unit in range(len(start)):
            v0, v1, v2, v3 = w0[unit], w1[unit], w2[unit], w3[unit]
            h0[unit] += a0 * v0 + a1 * v1 + a2 * v2 + a3 * v3
            h1[unit] += b0 * v0 + b1 * v1 + b2 * v2 + b3 * v3
            h2[unit] += c0 * v0 + c1 * v1 + c2 * v2 + c3 * v3
            h3[unit] += d0 * v0 + d1 * v1 + d2 * v2 + d3 * v3


@allocating
def forward(
    expanded: Floats, size: int, context: Floats, parameters: Parameters, hidden: Floats, scores: Floats
) -> None:
    """Fill hidden [rows, H] and scores [size] of expanded features [rows, D], whole blocks of rows."""
    start = np.empty(len(parameters.bias), np.float32)
    _start(context, parameters, start)
    for row in range(0, size, 4):
        _four(expanded[row : row + 4], start, parameters.first, hidden[row : row + 4])
    for row in range(size):
        score = np.float32(0)
        for k in range(expanded.shape[1]):
            score += expanded[row, k] * parameters.linear[k]
        units = hidden[row]
        for unit in range(len(units)):
            value = units[unit] if units[unit] > 0 else np.float32(0)
            units[unit] = value
            score += value * parameters.output[unit]
        scores[row] = score


@compiled
def log_loss(scores: Floats, size: int, target: int, gradient: Floats) -> float:
    """Return -log of the target's softmax share among scores [size]; fill its gradient [size]."""
    largest = scores[0]
    for row in range(1, size):
        largest = max(largest, scores[row])
    total = np.float32(0)
    for row in range(size):
        gradient[row] = np.exp(scores[row] - largest)
        total += gradient[row]
    for row in range(size):
        gradient[row] /= total
    gradient[target] -= np.float32(1)
    return float(np.log(total) + largest - scores[target])


@compiled
def _outer(expanded: Floats, hidden: Floats, rows: int, into: Floats) -> None:
    """Add to `into` [D, H] the product of expanded features [rows, D], transposed, and hidden [rows, H]."""
    for row in range(0, rows, 4):
        h0, h1, h2, h3 = hidden[row], hidden[row + 1], hidden[row + 2], hidden[row + 3]
        x0, x1, x2, x3 = expanded[row], expanded[row + 1], expanded[row + 2], expanded[row + 3]
        for k in range(expanded.shape[1]):
            f0, f1, f2, f3, to = x0[k], x1[k], x2[k], x3[k], into[k]
            for unit in range(hidden.shape[1]):
                to[unit] += f0 * h0[unit] + f1 * h1[unit] + f2 * h2[unit] + f3 * h3[unit]


@allocating
def backward(
    expanded: Floats,
    size: int,
    context: Floats,
    slopes: Floats,
    hidden: Floats,
    weights: Floats,
    to: Parameters,
) -> None:
    """Add to the gradients `to` what slopes [size] of the scores give; overwrites hidden [rows, H].

    `weights` [H] lead from the hidden units to the scores.
    """
    sums = np.zeros(len(weights), np.float32)
    for row in range(size):
        slope, values = slopes[row], hidden[row]
        to.linear[:] += slope * expanded[row]
        for unit in range(len(weights)):
            to.output[unit] += slope * values[unit]
            change = slope * weights[unit] if values[unit] > 0 else np.float32(0)
            values[unit] = change
            sums[unit] += change
    rows = size + -size % 4
    hidden[size:rows] = 0
    _outer(expanded, hidden, rows, to.first)
    to.bias[:] += sums
    for column in range(len(context)):
        value = context[column]
        if value != 0 and is_finite(value):
            to.context[column] += value * sums


@allocating
def gradients(batch: Minibatch, roots: int, parameters: Parameters, to: Parameters) -> float:
    """Add to `to` the gradients of a minibatch's mean weighted log-loss; return that loss."""
    rows = -(-batch.features.shape[1] // 4) * 4
    expanded = np.empty((rows, len(parameters.linear)), np.float32)
    hidden = np.empty((rows, len(parameters.bias)), np.float32)
    scores, slopes = np.empty(rows, np.float32), np.empty(rows, np.float32)
    used, loss = np.flatnonzero((batch.sizes > 0) & (batch.weights > 0)), 0.0
    for event in used:
        size, context = batch.sizes[event], batch.contexts[event]
        weight = batch.weights[event] / np.float32(len(used))
        expand(batch.features[event], size, roots, expanded)
        forward(expanded, size, context, parameters, hidden, scores)
        scores[1:size] += batch.corrections[event]
        loss += weight * log_loss(scores, size, 0, slopes)
        slopes[:size] *= weight
        backward(expanded, size, context, slopes, hidden, parameters.output, to)
    return loss


@allocating
def ranks(
    features: Floats,
    contexts: Floats,
    sizes: Integers,
    targets: Integers,
    roots: int,
    parameters: Parameters,
    into: Integers,
    losses: Floats,
) -> None:
    """Fill in rank [B] and log-loss [B] of targets [B] among features [B, S, F].

    The rank is 1 + the number of other rows whose score is at least the target's; 0 without a target.
    """
    rows = -(-features.shape[1] // 4) * 4
    expanded = np.empty((rows, len(parameters.linear)), np.float32)
    hidden = np.empty((rows, len(parameters.bias)), np.float32)
    scores, slopes = np.empty(rows, np.float32), np.empty(rows, np.float32)
    for event in range(len(sizes)):
        size, target = sizes[event], targets[event]
        into[event], losses[event] = 0, 0
        if target < 0:
            continue
        expand(features[event], size, roots, expanded)
        forward(expanded, size, contexts[event], parameters, hidden, scores)
        losses[event] = log_loss(scores, size, target, slopes)
        for row in range(size):
            into[event] += scores[row] >= scores[target]


@allocating
def scores(features: Floats, context: Floats, roots: int, parameters: Parameters) -> Floats:
    """Return the scores [n] of features [n, F] in a context [Q]."""
    size = len(features)
    rows = -(-size // 4) * 4
    expanded = np.empty((rows, len(parameters.linear)), np.float32)
    hidden = np.empty((rows, len(parameters.bias)), np.float32)
    result = np.empty(size, np.float32)
    expand(features, size, roots, expanded)
    forward(expanded, size, context, parameters, hidden, result)
    return result


@compiled
def adam(
    flat: Floats, gradient: Floats, mean: Floats, square: Floats, steps: int, rate: float, largest: float
) -> bool:
    """One step of Adam (Kingma and Ba 2015, arXiv:1412.6980) down the gradient [P], which becomes zero.

    `steps` counts this one. A gradient longer than `largest` is shortened to it. Returns False, and leaves
    everything as it was, if it is not finite.
    """
    length = np.float32(0)
    for k in range(len(gradient)):
        length += gradient[k] * gradient[k]
    if not is_finite(length):
        gradient[:] = 0
        return False
    scale = np.float32(min(1.0, largest / max(np.sqrt(length), 1e-30)))
    step = np.float32(rate / (1 - BETA_1**steps))
    unbias = np.float32(1 / np.sqrt(1 - BETA_2**steps))
    for k in range(len(flat)):
        slope = gradient[k] * scale
        mean[k] = np.float32(BETA_1) * mean[k] + np.float32(1 - BETA_1) * slope
        square[k] = np.float32(BETA_2) * square[k] + np.float32(1 - BETA_2) * slope * slope
        flat[k] -= step * mean[k] / (np.sqrt(square[k]) * unbias + np.float32(EPSILON))
        gradient[k] = 0
    return True
