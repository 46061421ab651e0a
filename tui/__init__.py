"""virtdeck: a full-screen terminal UI for KVM hosts over libvirt."""

__version__ = "0.1.0"
