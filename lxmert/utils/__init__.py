"""What every part uses: files that are written whole or not at all, messages, memory, optional imports."""
