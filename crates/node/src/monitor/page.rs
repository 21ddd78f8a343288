//! Prometheus' text format, version 0.0.4: only metrics of the table, each with its own labels.

use super::{BOUNDS_S, Histogram, Kind, Metric};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::Ordering;

/// Lines by metric.
#[derive(Debug, Default)]
pub struct Page(BTreeMap<&'static str, (Metric, String)>);

impl Page {
    /// Adds a value, with the labels' values in the table's order.
    pub fn set(&mut self, metric: &Metric, labels: &[&str], value: f64) {
        debug_assert_eq!(metric.labels.len(), labels.len(), "{}", metric.name);
        let pairs: Vec<String> = metric
            .labels
            .iter()
            .zip(labels)
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        self.line(metric, "", &pairs, value);
    }

    /// Adds a histogram.
    pub fn histogram(&mut self, metric: &Metric, of: &Histogram) {
        let mut count = 0;
        for (place, bucket) in of.buckets.iter().enumerate() {
            count += bucket.load(Ordering::Relaxed);
            let bound = BOUNDS_S.get(place).map_or("+Inf".to_owned(), f64::to_string);
            self.line(metric, "_bucket", &[format!("le=\"{bound}\"")], count as f64);
        }
        self.line(metric, "_sum", &[], of.sum_us.load(Ordering::Relaxed) as f64 / 1e6);
        self.line(metric, "_count", &[], count as f64);
    }

    fn line(&mut self, metric: &Metric, ending: &str, pairs: &[String], value: f64) {
        let lines = &mut self.0.entry(metric.name).or_insert_with(|| (*metric, String::new())).1;
        let labels = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
        // Writing to a text does not fail.
        let _ = writeln!(lines, "{}{ending}{labels} {value}", metric.name);
    }

    /// The page.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, (metric, lines)) in &self.0 {
            let kind = match metric.kind {
                Kind::Gauge => "gauge",
                Kind::Counter => "counter",
                Kind::Histogram => "histogram",
            };
            let _ = write!(text, "# HELP {name} {}\n# TYPE {name} {kind}\n{lines}", metric.about);
        }
        text
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
