"""HDF5 files of others: their structure is found by h5py in a process with limits, their values are read here."""
