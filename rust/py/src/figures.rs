//! The network's figures to `hubbub.Stats`.

use hubbub_net::{BOUNDS, Histogram, Times};
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict};

use crate::core::Core;

/// What `Hub.stats` gives; python/hubbub/stats.py has its type.
pub(crate) fn stats<'py>(py: Python<'py>, core: &Core) -> PyResult<Bound<'py, PyDict>> {
    let figures = core.server.figures();
    let times = core.server.times();
    let stats = PyDict::new(py);
    stats.set_item("sessions", core.session_count())?;
    stats.set_item("connections", figures.connections)?;
    stats.set_item("max_sessions", figures.max_sessions)?;
    stats.set_item("rooms", figures.rooms)?;
    for (name, count) in figures.counts.named() {
        stats.set_item(name, count)?;
    }
    let transports = PyDict::new(py);
    for (transport, opened, closed) in figures.sessions {
        let open = opened.saturating_sub(closed);
        let counts = [("sessions", open), ("opened", opened), ("closed", closed)];
        transports.set_item(transport.name(), counts.into_py_dict(py)?)?;
    }
    stats.set_item("transports", transports)?;
    stats.set_item("closes", figures.closes.into_iter().map(numbered).into_py_dict(py)?)?;
    stats.set_item("answers", figures.answers.into_iter().map(numbered).into_py_dict(py)?)?;
    let refusals = figures.refusals.into_iter().map(|(reason, count)| (reason.name(), count));
    stats.set_item("refusals", refusals.into_py_dict(py)?)?;
    let drops = figures.drops.into_iter().map(|(policy, count)| (policy.name(), count));
    stats.set_item("drops", drops.into_py_dict(py)?)?;
    let rooms = figures.dropping_rooms.into_iter().map(|(name, count)| (name.to_string(), count));
    stats.set_item("dropping_rooms", rooms.into_py_dict(py)?)?;
    let outbox = [
        ("bytes", figures.outbox_bytes),
        ("largest_bytes", figures.largest_outbox_bytes),
        ("blocked_sessions", figures.blocked_sessions as u64),
    ];
    stats.set_item("outbox", outbox.into_py_dict(py)?)?;
    stats.set_item("handlers", handlers(py, core, times)?)?;
    stats.set_item("handover_delay", durations(py, &times.handover)?)?;
    let lag = durations(py, times.lag.beats())?;
    lag.set_item("recent_max_seconds", times.lag.recent_max())?;
    stats.set_item("loop_lag", lag)?;
    Ok(stats)
}

fn numbered((number, count): (Option<u16>, u64)) -> (String, u64) {
    (number.map_or_else(|| "other".into(), |number| number.to_string()), count)
}

fn handlers<'py>(py: Python<'py>, core: &Core, times: &Times) -> PyResult<Bound<'py, PyDict>> {
    let (mut name, mut seconds) = (py.None(), 0.0);
    if let (Some(slowest), Some(user)) = (times.slowest(), core.user()) {
        name = user.hooks.name_of.call1(py, (slowest.endpoint, slowest.handler))?;
        seconds = slowest.took.as_secs_f64();
    }
    let handlers = PyDict::new(py);
    handlers.set_item("passes", times.passes())?;
    handlers.set_item("seconds", times.pass_seconds())?;
    handlers.set_item("slow", times.slow())?;
    handlers.set_item("slowest", name)?;
    handlers.set_item("slowest_seconds", seconds)?;
    Ok(handlers)
}

fn durations<'py>(py: Python<'py>, histogram: &Histogram) -> PyResult<Bound<'py, PyDict>> {
    let cumulative = histogram.cumulative();
    let durations = PyDict::new(py);
    durations.set_item("count", cumulative[BOUNDS.len()])?;
    durations.set_item("seconds", histogram.sum())?;
    durations.set_item("buckets", BOUNDS.into_iter().zip(cumulative).into_py_dict(py)?)?;
    Ok(durations)
}
