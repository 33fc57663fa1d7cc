//! The Prometheus text format 0.0.4, with numbers spelt the way Go spells them.
//!
//! The `prometheus` crate has an encoder, but it prints `8388608` where the client library of etcd
//! prints `8.388608e+06`; the bounds of buckets are labels, and dashboards compare labels as text.

use std::fmt::Write;

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

/// Renders families, which arrive sorted by name.
pub(super) fn render(families: &[MetricFamily]) -> String {
    let mut out = String::new();
    for family in families {
        let (name, kind) = (family.name(), family.get_field_type());
        let word = match kind {
            MetricType::COUNTER => "counter",
            MetricType::GAUGE => "gauge",
            MetricType::HISTOGRAM => "histogram",
            // Nothing here makes the other kinds.
            _ => continue,
        };
        let help = family.help().replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a string cannot fail.
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {word}\n");
        for metric in family.get_metric() {
            let labels = metric.get_label();
            match kind {
                MetricType::COUNTER => {
                    line(&mut out, name, labels, &go_float(metric.get_counter().get_value()));
                }
                MetricType::HISTOGRAM => histogram(&mut out, name, metric),
                _ => line(&mut out, name, labels, &go_float(metric.get_gauge().get_value())),
            }
        }
    }
    out
}

fn histogram(out: &mut String, name: &str, metric: &Metric) {
    let histogram = metric.get_histogram();
    let bucket = format!("{name}_bucket");
    let count = histogram.get_sample_count();
    let bounds = histogram.get_bucket().iter().map(|b| (b.upper_bound(), b.cumulative_count()));
    let open_end = std::iter::once((f64::INFINITY, count));
    for (bound, seen) in bounds.filter(|(bound, _)| bound.is_finite()).chain(open_end) {
        let mut le = LabelPair::default();
        le.set_name(String::from("le"));
        le.set_value(go_float(bound));
        let mut labels = metric.get_label().to_vec();
        labels.push(le);
        line(out, &bucket, &labels, &seen.to_string());
    }
    let sum = go_float(histogram.get_sample_sum());
    line(out, &format!("{name}_sum"), metric.get_label(), &sum);
    line(out, &format!("{name}_count"), metric.get_label(), &count.to_string());
}

fn line(out: &mut String, name: &str, labels: &[LabelPair], value: &str) {
    out.push_str(name);
    for (i, label) in labels.iter().enumerate() {
        let open = if i == 0 { '{' } else { ',' };
        let text = label.value().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(out, "{open}{}=\"{text}\"", label.name());
    }
    if !labels.is_empty() {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}

/// The shortest exact spelling, with an exponent below 1e-4 and from [`GO_EXPONENT`] on: Go's `%g`
/// without a precision.
fn go_float(value: f64) -> String {
    if value.is_nan() {
        return String::from("NaN");
    }
    if value.is_infinite() {
        return String::from(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if value == 0.0 || (-4..GO_EXPONENT).contains(&exponent) {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// From this power of ten on Go writes an exponent, however many digits follow.
const GO_EXPONENT: i32 = 6;

#[cfg(test)]
mod tests {
    use super::go_float;
    use crate::telemetry::metrics::Registry;

    #[test]
    fn a_histogram_has_cumulative_buckets_a_sum_and_a_count() {
        let registry = Registry::new();
        let bounds = vec![0.0001, 1.0, 1_048_576.0];
        let h = registry.histogram_vec("h_seconds", "How\nlong.", bounds, &["To"]);
        h.with_label_values(&["a\"b"]).observe(0.5);
        h.with_label_values(&["a\"b"]).observe(3e6);
        let expected = "# HELP h_seconds How\\nlong.\n# TYPE h_seconds histogram\n\
            h_seconds_bucket{To=\"a\\\"b\",le=\"0.0001\"} 0\n\
            h_seconds_bucket{To=\"a\\\"b\",le=\"1\"} 1\n\
            h_seconds_bucket{To=\"a\\\"b\",le=\"1.048576e+06\"} 1\n\
            h_seconds_bucket{To=\"a\\\"b\",le=\"+Inf\"} 2\n\
            h_seconds_sum{To=\"a\\\"b\"} 3.0000005e+06\n\
            h_seconds_count{To=\"a\\\"b\"} 2\n";
        assert_eq!(registry.render(), expected);
    }

    #[test]
    fn numbers_are_spelt_as_go_spells_them() {
        let cases = [
            (0.0, "0"),
            (-1.5, "-1.5"),
            (100_000.0, "100000"),
            (1_000_000.0, "1e+06"),
            (2_147_483_648.0, "2.147483648e+09"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (f64::INFINITY, "+Inf"),
        ];
        for (value, text) in cases {
            assert_eq!(go_float(value), text);
        }
    }
}
