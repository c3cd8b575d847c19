"""Convert weights between PyTorch and Keras: `lxmert convert` as a script; --help tells how."""

import sys

from lxmert.cli import main

if __name__ == "__main__":
    sys.exit(main(["convert", *sys.argv[1:]]))
