//! Latencies as they are reported: quantiles, a curve, a histogram.

use hdrhistogram::Histogram;
use serde::Serialize;

/// The distribution of latencies, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// How many there were.
    pub count: u64,
    /// The shortest.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// 90 of 100 are not longer.
    pub p90: f64,
    /// 99 of 100 are not longer.
    pub p99: f64,
    /// 999 of 1000 are not longer.
    pub p999: f64,
    /// 9999 of 10000 are not longer.
    pub p9999: f64,
    /// The longest.
    pub max: f64,
}

/// A point of a distribution.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Percentile {
    /// This part, of 1, is not longer.
    pub quantile: f64,
    /// Than this.
    pub us: f64,
}

/// A bar of a histogram: latencies above `from_us` and up to `to_us`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Bar {
    /// The lower bound.
    pub from_us: f64,
    /// The upper bound.
    pub to_us: f64,
    /// How many.
    pub count: u64,
}

impl Latency {
    /// None if there are none.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Option<Latency> {
        let us = |nanoseconds: u64| nanoseconds as f64 / 1000.0;
        let at = |quantile| us(histogram.value_at_quantile(quantile));
        (!histogram.is_empty()).then(|| Latency {
            count: histogram.len(),
            min: us(histogram.min()),
            mean: histogram.mean() / 1000.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: us(histogram.max()),
        })
    }
}

/// Steps of the curve in each half of what is left.
const STEPS: u32 = 5;

/// Quantiles that get closer together towards 1, up to the last single value.
pub(crate) fn percentiles(histogram: &Histogram<u64>) -> Vec<Percentile> {
    let mut curve: Vec<Percentile> = histogram
        .iter_quantiles(STEPS)
        .map(|step| Percentile { quantile: step.quantile(), us: step.value_iterated_to() as f64 / 1000.0 })
        .collect();
    // Towards the end several steps fall on one value.
    curve.dedup_by_key(|point| point.quantile);
    curve
}

/// Bars of a histogram, on a logarithmic scale.
const BARS: f64 = 40.0;

pub(crate) fn bars(histogram: &Histogram<u64>) -> Vec<Bar> {
    if histogram.is_empty() {
        return Vec::new();
    }
    let (min, max) = (histogram.min().max(1) as f64, histogram.max().max(1) as f64);
    let step = (max / min).powf(1.0 / BARS).max(1.000_1);
    let mut bars = vec![0_u64; BARS as usize];
    for value in histogram.iter_recorded() {
        let at = ((value.value_iterated_to() as f64 / min).ln() / step.ln()).max(0.0) as usize;
        bars[at.min(BARS as usize - 1)] += value.count_at_value();
    }
    let bound = |at: usize| min * step.powi(at as i32) / 1000.0;
    bars.into_iter().enumerate().map(|(at, count)| Bar { from_us: bound(at), to_us: bound(at + 1), count }).collect()
}
