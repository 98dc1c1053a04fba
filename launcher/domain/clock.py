"""The domain's clock and timers: the template's, overruled one by one by what the manifest says."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, add, child_of
from launcher.vmi.guest_machine import Clock, Timers


def fill_clock(domain: Element, blueprint: Blueprint) -> None:
    """Write the offset and the timers that the manifest names."""
    clock = blueprint.guest.board.clock
    if clock == Clock():
        return
    element = child_of(domain, "clock")
    _set_offset(element, clock)
    _set_timers(element, clock.timers)


def _set_offset(element: Element, clock: Clock) -> None:
    if clock.timezone is not None:
        attributes = {"offset": "timezone", "timezone": clock.timezone}
    elif clock.offset_s is not None:
        attributes = {"offset": "utc", "adjustment": str(clock.offset_s) if clock.offset_s else "reset"}
    elif not element.attrib:
        attributes = {"offset": "utc"}
    else:
        return
    element.attrib.clear()
    for name, value in attributes.items():
        element.set(name, value)


def _set_timers(element: Element, timers: Timers) -> None:
    for name, present in (
        ("hpet", timers.hpet),
        ("kvmclock", timers.kvmclock),
        ("hypervclock", timers.hypervclock),
        ("pit", timers.has_pit),
        ("rtc", timers.has_rtc),
    ):
        if present is not None:
            _timer(element, name).set("present", "yes" if present else "no")
    if timers.hpet_tick is not None:
        _timer(element, "hpet").set("tickpolicy", timers.hpet_tick)
    if timers.pit is not None:
        _timer(element, "pit").set("tickpolicy", timers.pit)
    if timers.rtc is not None:
        _timer(element, "rtc").set("tickpolicy", timers.rtc)
    if timers.rtc_track is not None:
        _timer(element, "rtc").set("track", timers.rtc_track)


def _timer(element: Element, name: str) -> Element:
    found = element.find(f"timer[@name='{name}']")
    return add(element, "timer", name=name) if found is None else found
