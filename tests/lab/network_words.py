"""What tests of networks in real guests say: what the guest sees of its NICs, where its taps are."""

from __future__ import annotations

import re
from typing import Self

from tests.lab.actions import Deck
from tests.lab.console import Console
from tests.lab.domain import nic_xml
from tests.lab.host import LabHost
from tests.lab.namespaces import wait_until
from tui.model.network import Network
from tui.model.network_guests import Plugged, of_network, orphans, plugged
from tui.model.snapshot import HostSnapshot


class NetworkDeck(Deck):
    """A deck whose readings have the networks too."""

    def __enter__(self) -> Self:
        return self

    def read(self, *parts: str, processes: bool = False) -> HostSnapshot:
        """The host with its networks."""
        return super().read("networks", "links", *parts, processes=processes)

    def network(self, name: str) -> Network:
        """A network as it is now; AssertionError when there is none."""
        networks = self.read().networks
        assert networks is not None
        found = networks.named(name)
        assert found is not None, f"no network {name}"
        return found

    def orphans(self, name: str) -> list[str]:
        """The MACs of the NICs that lost their bridge; AssertionError where it is not known."""
        seen = self.read()
        assert seen.networks is not None
        network = seen.networks.named(name)
        assert network is not None
        found = orphans(seen, network, _plugged(seen, network))
        assert found is not None, "not known"
        return [one.nic.mac for one in found]


def _plugged(seen: HostSnapshot, network: Network) -> tuple[Plugged, ...]:
    return of_network(plugged(seen.domains.values()), network)


def guest_with(lab: LabHost, name: str, network: str, mac: str) -> None:
    """A guest that booted with one NIC of that MAC in a network."""
    lab.define_guest(name, devices=[nic_xml(network, mac=mac)])


def addresses(console: Console, link: str) -> list[str]:
    """The IPv4 addresses of a link in the guest."""
    return re.findall(r"inet ([\d.]+)", console.run(f"ip -4 addr show dev {link}")[1])


def expect_address(console: Console, link: str, pattern: str) -> str:
    """Wait until the link in the guest has an address like that, and return it."""
    found: list[str] = []

    def there() -> bool:
        found[:] = [address for address in addresses(console, link) if re.fullmatch(pattern, address)]
        return bool(found)

    wait_until(there, f"an address {pattern} on {link}", timeout=30)
    return found[0]


def ask_again(console: Console, link: str) -> None:
    """Have the guest ask for an address anew, in the background."""
    console.run(f"killall udhcpc 2>/dev/null; ip addr flush dev {link}; /sbin/address {link}")


def pings(console: Console, address: str) -> bool:
    """Whether the guest reaches an address."""
    return console.run(f"ping -c 1 -W 2 {address}")[0] == 0


def carrier(console: Console, link: str) -> str:
    """What the guest sees of the carrier of a link; "" where it has no such link."""
    status, output = console.run(f"cat /sys/class/net/{link}/carrier")
    return output.strip() if status == 0 else ""


def links(console: Console) -> list[str]:
    """The NICs that the guest has."""
    return sorted(word for word in console.run("ls /sys/class/net")[1].split() if word.startswith("eth"))


def master(lab: LabHost, tap: str) -> str:
    """The bridge that a tap of the lab is a port of; "" for none."""
    found = re.search(r" master (\S+)", lab.run(["ip", "-o", "link", "show", "dev", tap]).stdout)
    return found[1] if found else ""


def tap_of(lab: LabHost, name: str, mac: str) -> str:
    """The tap of a NIC of a running domain."""
    found = re.search(rf"mac address='{mac}'/>.*?<target dev='(.*?)'", lab.virsh("dumpxml", name).stdout, re.DOTALL)
    assert found is not None
    return found[1]
