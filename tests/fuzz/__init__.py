"""Damaged files by the thousand, through every door: each is read, or refused in our own words, within bounds.

    python -m tests.fuzz --cases 200000 --seed 0

`sources` has valid files, `damage` changes them by their format, `doors` opens them as users do, and `harness` runs the
cases in processes with limits. A case fails if its process dies or is stuck, if it takes more time or memory than the
bounds, if it ends in an error that is not ours or does not name the file, if another library warns, or if something is
left behind. The same seed and number make the same case again. `recipes` has cases that are fixed: hostile files that
are known.
"""
