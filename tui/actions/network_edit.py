"""Change the settings of a network, from its next start on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from xml.etree import ElementTree as ET

from tui.actions import network_form as form
from tui.actions import network_steps as steps
from tui.actions.base import Action, Context, Field, FieldError, FieldKind, Reason, Target, TargetError, Values
from tui.actions.define import kept_path
from tui.actions.network_steps import as_network, named
from tui.model.kind import Kind
from tui.model.network import Network, NetworkConfig
from tui.model.network_edit import SETTINGS, edited
from tui.model.network_new import OWN_BRIDGE
from tui.model.network_xml import Subnet
from tui.model.plan import Step
from tui.ops.networks import EditNetwork

_MODES = ("isolated", "nat", "route", "open")
_NONE = form.NONE
_DEFAULT = "default"
_OF_HOST_BRIDGE = ("bridge",)


def _config(network: Network) -> NetworkConfig | None:
    return network.persistent_config


def _reason(_context: Context, target: Target) -> Reason:
    network = as_network(target)
    if network.persistent_config is None:
        return "it is transient: it has no persistent configuration"
    if network.persistent_config.words not in (*OWN_BRIDGE, "bridge", "ovs"):
        kind = network.persistent_config.words
        return f"of a network of kind {kind} only an XML file changes anything; n redefines it"
    return None


def now(config: NetworkConfig) -> dict[str, str]:
    """Return the settings of a network as the fields have them."""
    return {
        "mode": config.mode or "isolated",
        "device": config.device,
        "bridge": config.bridge,
        "domain": config.domain,
        "mtu": str(config.mtu or ""),
        "stp": {True: "on", False: "off", None: _DEFAULT}[config.stp],
        "delay": "" if config.delay_s is None else str(config.delay_s),
        "range": _range(config, ipv6=False),
        "range6": _range(config, ipv6=True),
    }


def _range(config: NetworkConfig, *, ipv6: bool) -> str:
    found = [range_ for ip in config.addresses if ip.ipv6 is ipv6 for range_ in ip.ranges]
    return f"{found[0].first}-{found[0].last}" if found else _NONE


def _edit(context: Context, target: Target, values: Values) -> Sequence[Step]:
    network = as_network(target)
    config = network.persistent_config
    if config is None:
        raise FieldError("mode", "it has no persistent configuration")
    before = now(config)
    changed = {name: values[name].strip() for name in SETTINGS if values[name].strip() != before[name]}
    if not changed:
        raise TargetError("mode", f"{network.name} has these settings already")
    settings = {name: _checked(context, network, config, name, changed[name], values) for name in changed}
    _check_together(config, values, settings)
    try:
        edited(network.persistent_xml, settings)
    except (ET.ParseError, ValueError) as error:
        raise FieldError(next(iter(settings)), str(error)) from error
    it, backup = named(network), kept_path(context, network.raw_name)
    file = kept_path(context, f"{network.raw_name}-new")
    back = steps.define_again_step(context, it, backup, f"define {it.name} as it was")
    request = EditNetwork(network.key, tuple(settings.items()), file, backup)
    said = ", ".join(f"{name} {value or 'none'}" for name, value in settings.items())
    title = f"change {it.name} from its next start on: {said}"
    return [steps.network_step(context, it, title, ("net-define", file, "--validate"), request, (back,))]


def _checked(context: Context, network: Network, config: NetworkConfig, name: str, value: str, values: Values) -> str:
    """One setting as the XML has it; raises FieldError."""
    if config.words not in OWN_BRIDGE and name not in _OF_HOST_BRIDGE:
        raise FieldError(name, f"a network of kind {config.words} does not have it; leave it as it is")
    checks: dict[str, Callable[[], str]] = {
        "mode": lambda: value,
        "device": lambda: form.link_name("device", value) if value else "",
        "bridge": lambda: _bridge(context, network, value),
        "domain": lambda: form.domain_name("domain", value) if value else "",
        "mtu": lambda: str(form.mtu_of(value) or ""),
        "stp": lambda: value,
        "delay": lambda: _delay(value),
        "range": lambda: _checked_range(config, "range", value),
        "range6": lambda: _checked_range(config, "range6", value),
    }
    if name == "mode" and value not in _MODES:
        raise FieldError("mode", f"{network.name} has a bridge of its own: isolated, nat, route or open")
    if name == "stp" and value == _DEFAULT:
        raise FieldError("stp", "must be on or off")
    return checks[name]()


def _bridge(context: Context, network: Network, value: str) -> str:
    if not value:
        raise FieldError("bridge", "give it a name")
    form.link_name("bridge", value)
    if network.config.words in OWN_BRIDGE:
        form.check_own_bridge(context, value, network.key)
    return value


def _delay(value: str) -> str:
    if not (value.isascii() and value.isdigit() and int(value[:5]) <= 30 and len(value) < 5):
        raise FieldError("delay", "must be from 0 to 30 seconds")
    return value


def _checked_range(config: NetworkConfig, name: str, value: str) -> str:
    if value in ("", _NONE):
        return ""
    ipv6 = name == "range6"
    known = [
        (subnet, config.addresses[index].address)
        for index, subnet in steps.subnets(config).items()
        if config.addresses[index].ipv6 is ipv6
    ]
    if not known:
        raise FieldError(name, f"it has no IPv{6 if ipv6 else 4} address")
    first = value.partition("-")[0].strip()
    at = next(((s, own) for s, own in known if first and _lies_in(name, first, s)), known[0])
    low, high = form.range_of(name, value, at[0], steps.address_of(name, at[1]))
    return f"{low}-{high}"


def _lies_in(field: str, text: str, subnet: Subnet) -> bool:
    address = steps.address_of(field, text)
    return address.version == subnet.version and address in subnet


def _check_together(config: NetworkConfig, values: Values, settings: dict[str, str]) -> None:
    mode = values["mode"]
    if "mode" in settings and mode in ("nat", "route", "open") and not config.addresses:
        raise FieldError("mode", f"{mode} needs an address, and it has none")
    if values["device"].strip() and mode not in ("nat", "route"):
        raise FieldError("device", f"{mode} is not bound to a link; leave it empty")


def _notes(context: Context, target: Target, _values: Values) -> Sequence[str]:
    network = as_network(target)
    if not network.active:
        return ()
    running = any(one.live for one in steps.guests_of(context.snapshot, network))
    taps = "; its running guests are plugged in again by r then" if running else ""
    return (f"{network.name}: goes on as it is until it is stopped and started{taps}",)


def _default(name: str, unknown: str) -> Callable[[Context, Sequence[Target]], str]:
    def default(_context: Context, targets: Sequence[Target]) -> str:
        config = as_network(targets[0]).persistent_config if targets and targets[0] is not None else None
        return unknown if config is None else now(config)[name]

    return default


def _field(name: str, label: str, help: str = "", choices: tuple[str, ...] = ()) -> Field:
    kind = FieldKind.CHOICE if choices else FieldKind.TEXT
    return Field(name, label, kind, _default(name, choices[0] if choices else ""), choices, help, optional=True)


ACTION = Action(
    "network.edit", "Change", "change", "e", Kind.NETWORK,
    "Change mode, link, bridge, DNS domain, MTU, STP or DHCP range, from the network's next start on.", _edit, _reason,
    (
        _field("mode", "Mode", "of a network with a bridge of its own", (*_MODES, "bridge")),
        _field("device", "Link", "of nat and route: the only one to go out by; empty: any"),
        _field("bridge", "Bridge"),
        _field("domain", "DNS domain", "empty: none"),
        _field("mtu", "MTU", "empty: the usual one"),
        _field("stp", "STP", "", ("on", "off", _DEFAULT)),
        _field("delay", "Forward delay", "seconds"),
        _field("range", "DHCP range", "FIRST-LAST, or none"),
        _field("range6", "DHCPv6 range", "FIRST-LAST, or none"),
    ),
    bulk=False, reads=steps.READS, notes=_notes,
)  # fmt: skip
"""The action; it is one of the family networks."""
