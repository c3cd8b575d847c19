"""Estimate an image's background from its border: a smooth colour surface that a few shapes may interrupt."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from lxmert.utils.held_memory import cached_within

# A pixel is background if no channel is further than this from the surface (0..255).
_NEAR = 12.0


def estimate_background(image: np.ndarray) -> tuple[np.ndarray, float]:
    """The background colour of every pixel, and the noise of its pixels.

    Per channel the surface is a polynomial of degree at most 2 in x and y: a constant for plain backgrounds, a slope
    for linear gradients, a bowl for vignettes. Candidates are the planes through three of eight spots of the border,
    and the constants of those spots; the one that fits most of the border wins, so that shapes may cover much of the
    border. Then least squares over the pixels that fit refine it.

    Args:
        image: float32 ``[H, W, 3]`` in 0..255.

    Returns:
        The background, float32 ``[H, W, 3]`` or, if it is plain, ``[1, 1, 3]``; and the noise, the standard deviation
        of a channel's pixels around it.
    """
    height, width = image.shape[:2]
    rows, columns = _border(height, width)
    border = image[rows, columns]  # [P, 3]
    places = _basis(_axis(height)[rows], _axis(width)[columns], 1)  # [P, 3]: 1, y, x
    spots, planes = _planes(height, width)
    # A spot's colour is the median of its surroundings on the border, so that single noisy pixels do not matter.
    colours = np.median(border[spots], axis=1)  # [8, 3]
    middle = np.median(border, axis=0)
    candidates = np.concatenate([planes @ colours, _constants(np.concatenate([colours, middle[None]]))])  # [T, 3, 3]
    error = largest_channel(places @ candidates - border)  # [T, P]
    cost = np.minimum(error, 3 * _NEAR).mean(axis=1)
    cost[: len(planes)] = 1.1 * cost[: len(planes)] + 0.5  # a slope must explain the border clearly better
    best = int(cost.argmin())
    coefficients = candidates[best].astype(np.float32)  # [3 terms, 3 channels]
    agrees = error[best] <= max(_NEAR, 3.0 * float(np.median(error[best])))
    if best >= len(planes) and float(error[best][agrees].mean()) < 2.0:
        plain = np.median(border[agrees], axis=0)
        return plain.astype(np.float32)[None, None], float((border[agrees] - plain).std())
    return _refine(image, coefficients)


def largest_channel(difference: np.ndarray) -> np.ndarray:
    """The largest absolute value over the last axis ``[..., 3]``; NumPy's own max is slow for such a short axis."""
    size = np.abs(difference)
    return np.maximum(np.maximum(size[..., 0], size[..., 1]), size[..., 2])


def _refine(image: np.ndarray, coefficients: np.ndarray) -> tuple[np.ndarray, float]:
    """Least squares of a quadratic surface over the pixels near the surface so far."""
    height, width = image.shape[:2]
    step = max(1, int((height * width / 10_000) ** 0.5))  # ten thousand pixels determine six numbers well enough
    y, x = np.meshgrid(_axis(height)[::step], _axis(width)[::step], indexing="ij")
    basis = _basis(y.ravel(), x.ravel(), 2)  # [P, 6]
    pixels = image[::step, ::step].reshape(-1, 3)
    coefficients = np.concatenate([coefficients, np.zeros((3, 3), np.float32)])  # [6, 3]
    error = largest_channel(basis @ coefficients - pixels)
    for _ in range(4):
        # The limit starts wide, so that a bowl, which no plane fits, is not excluded where the plane misses it.
        limit = max(_NEAR, min(4 * _NEAR, 3.0 * float(np.median(error))))
        near = error <= limit
        if near.sum() < 24:
            break
        inside, seen = basis[near], pixels[near]
        # The ridge keeps terms that the pixels do not determine (an image one pixel high) at zero.
        normal = inside.T @ inside + 1e-3 * np.eye(6, dtype=np.float32)
        coefficients = np.linalg.solve(normal, inside.T @ seen).astype(np.float32)
        error = largest_channel(basis @ coefficients - pixels)
    near = error <= max(_NEAR, 3.0 * float(np.median(error)))
    noise = float((basis[near] @ coefficients - pixels[near]).std()) if near.any() else 0.0
    y, x = _axis(height)[:, None, None], _axis(width)[None, :, None]
    constant, along_y, along_x, y_y, y_x, x_x = coefficients
    surface = constant + y * (along_y + y * y_y) + x * (along_x + x * x_x) + (y * x) * y_x
    return np.clip(surface, 0.0, 255.0), noise


@cached_within(2**20)
def _border(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of at most some 400 border pixels, clockwise from the top left."""
    top = np.arange(width)
    right = np.arange(1, height)
    rows = np.concatenate([np.zeros_like(top), right, np.full(width - 1, height - 1), right[::-1][1:]])
    columns = np.concatenate([top, np.full(height - 1, width - 1), top[::-1][1:], np.zeros(max(height - 2, 0), int)])
    every = max(1, len(rows) // 400)
    return rows[::every].copy(), columns[::every].copy()  # without the arrays of all border pixels


@cached_within(2**20)
def _planes(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Eight spots of the border ``[8, n]``; per triple of spots, the matrix that makes their colours a plane ``[T, 3,
    8]``.
    """
    rows, columns = _border(height, width)
    count = len(rows)
    y, x = _axis(height)[rows], _axis(width)[columns]
    targets = np.array([(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)], np.float32)
    centres = ((y[None] - targets[:, :1]) ** 2 + (x[None] - targets[:, 1:]) ** 2).argmin(axis=1)  # [8]
    reach = min(2, count // 16)
    spots = (centres[:, None] + np.arange(-reach, reach + 1)) % count
    places = _basis(y[centres], x[centres], 1).astype(np.float64)  # [8, 3]
    planes = []
    for triple in combinations(range(8), 3):
        corner = places[list(triple)]
        if abs(np.linalg.det(corner)) > 0.5:  # else the three are on one line
            plane = np.zeros((3, 8))
            plane[:, list(triple)] = np.linalg.inv(corner)
            planes.append(plane)
    return spots, np.array(planes, np.float32).reshape(-1, 3, 8)


def _constants(colours: np.ndarray) -> np.ndarray:
    """Planes without slope: ``[n, 3]`` colours to ``[n, 3 terms, 3 channels]``."""
    planes = np.zeros((len(colours), 3, 3), np.float32)
    planes[:, 0] = colours
    return planes


@cached_within(2**22)
def _axis(count: int) -> np.ndarray:
    """Positions -1..1 of ``count`` pixels."""
    return np.linspace(-1.0, 1.0, count, dtype=np.float32) if count > 1 else np.zeros(1, np.float32)


def _basis(y: np.ndarray, x: np.ndarray, degree: int) -> np.ndarray:
    terms = [np.ones_like(y), y, x] if degree == 1 else [np.ones_like(y), y, x, y * y, y * x, x * x]
    return np.stack(terms, axis=-1)
