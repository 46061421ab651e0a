"""A host to try the program on: libvirt's in-process test driver with a believable company and hostile names."""

from tui.demo.host import GUESTS, prepare, scaled_host, write_demo_host

__all__ = ["GUESTS", "prepare", "scaled_host", "write_demo_host"]
