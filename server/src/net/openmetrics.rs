//! From the text that Prometheus began with to that of `OpenMetrics` 1.0: the name of a counter's
//! family is without `_total`, bounds of buckets are floats, quotes in HELP are escaped, no line is
//! empty, and the last one says that nothing is missing.

/// The suffix of a counter, which its family has not.
const COUNTER: &str = "_total";

/// What begins the bound of a bucket.
const BOUND: &str = "le=\"";

/// The same metrics in the form of `OpenMetrics`.
pub(super) fn of(prometheus: &str) -> String {
    let mut text = String::with_capacity(prometheus.len() + 16);
    for line in prometheus.lines().filter(|line| !line.is_empty()) {
        push_line(&mut text, line);
        text.push('\n');
    }
    text.push_str("# EOF\n");
    text
}

fn push_line(text: &mut String, line: &str) {
    let words: Vec<&str> = line.splitn(4, ' ').collect();
    match words.as_slice() {
        ["#", "HELP", name, help] => {
            let (name, help) = (family(name), help.replace('"', "\\\""));
            text.extend(["# HELP ", name, " ", &help]);
        }
        ["#", "TYPE", name, kind] => text.extend(["# TYPE ", family(name), " ", kind]),
        _ => push_sample(text, line),
    }
}

fn family(name: &str) -> &str {
    name.strip_suffix(COUNTER).unwrap_or(name)
}

fn push_sample(text: &mut String, line: &str) {
    let bound = line.split_once(BOUND).and_then(|(before, rest)| {
        rest.split_once('"').map(|(bound, behind)| (before, bound, behind))
    });
    match bound {
        Some((before, bound, behind)) if bound.parse::<u64>().is_ok() => {
            text.extend([before, BOUND, bound, ".0\"", behind]);
        }
        Some(_) | None => text.push_str(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_prometheus_becomes_one_of_openmetrics() {
        let prometheus = "# HELP a_total What is \"a\".\n# TYPE a_total counter\n\
                          a_total{core=\"0\"} 7\n\n# TYPE b gauge\nb 0.5\n\n# TYPE c histogram\n\
                          c_bucket{core=\"0\",le=\"0.5\"} 1\nc_bucket{core=\"0\",le=\"10\"} 2\n\
                          c_bucket{core=\"0\",le=\"+Inf\"} 2\nc_sum{core=\"0\"} 1.5\n\
                          c_count{core=\"0\"} 2\n\n";
        let openmetrics = "# HELP a What is \\\"a\\\".\n# TYPE a counter\n\
                           a_total{core=\"0\"} 7\n# TYPE b gauge\nb 0.5\n# TYPE c histogram\n\
                           c_bucket{core=\"0\",le=\"0.5\"} 1\nc_bucket{core=\"0\",le=\"10.0\"} 2\n\
                           c_bucket{core=\"0\",le=\"+Inf\"} 2\nc_sum{core=\"0\"} 1.5\n\
                           c_count{core=\"0\"} 2\n# EOF\n";
        assert_eq!(of(prometheus), openmetrics);
        assert_eq!(of(""), "# EOF\n");
    }
}
