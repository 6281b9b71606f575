//! The first case of a report as a picture: confirmed messages a second, and CPU for each.

use std::fmt::Write as _;

use super::measured::{Measured, Report};

const WIDTH: f64 = 860.0;
const LABEL: f64 = 270.0;
const BAR: f64 = 330.0;
const ROW: f64 = 26.0;
const TOP: f64 = 64.0;

/// An SVG.
pub fn of(report: &Report) -> String {
    let Some(case) = report.rows.iter().find_map(|row| row.case) else {
        return String::new();
    };
    let of_case = |row: &&Measured| row.case == Some(case);
    let rows: Vec<_> = report.rows.iter().filter(of_case).collect();
    let most = rows
        .iter()
        .map(|row| row.per_second.max)
        .fold(1.0, f64::max);
    #[expect(clippy::cast_precision_loss, reason = "a few rows")]
    let height = TOP + ROW * rows.len() as f64 + 40.0;
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="12" y="24" font-size="16" fill="#222222">Confirmed messages a second: {case}, persistent, mandatory</text>
<text x="12" y="44" fill="#666666">medians of {} rounds, lines from the least to the most; right: µs of CPU of the publishing process</text>
"##,
        report.rounds
    );
    let mut y = TOP;
    for row in rows {
        let x = |rate: f64| LABEL + BAR * rate / most;
        let color = if row.way.starts_with("gateway") {
            "#2b6cb0"
        } else {
            "#a0aec0"
        };
        let (median, least, best) = (
            row.per_second.median,
            row.per_second.min,
            row.per_second.max,
        );
        let middle = y + 9.0;
        let cpu = if row.publisher_us.median > 0.0 {
            format!("{:.1} µs", row.publisher_us.median)
        } else {
            String::new()
        };
        let _ = writeln!(
            svg,
            r##"<text x="{}" y="{}" text-anchor="end" fill="#222222">{}</text>
<rect x="{LABEL}" y="{y}" width="{:.1}" height="18" fill="{color}"/>
<line x1="{:.1}" x2="{:.1}" y1="{middle}" y2="{middle}" stroke="#222222"/>
<text x="{:.1}" y="{}" fill="#222222">{median:.0}</text>
<text x="{}" y="{}" text-anchor="end" fill="#666666">{cpu}</text>"##,
            LABEL - 8.0,
            y + 14.0,
            row.way,
            x(median) - LABEL,
            x(least),
            x(best),
            x(best) + 8.0,
            y + 14.0,
            WIDTH - 16.0,
            y + 14.0,
        );
        y += ROW;
    }
    svg.push_str("</svg>\n");
    svg
}
