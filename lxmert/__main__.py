"""`python -m lxmert`: the same as the command `lxmert`."""

import sys

from lxmert.cli import main

if __name__ == "__main__":
    sys.exit(main())
