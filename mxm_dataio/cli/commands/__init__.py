"""The commands of ``mxm-dataio``, one a module, loaded when it is called."""
