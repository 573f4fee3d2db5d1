//! A picture of curves over steps, one for each name.

use std::fmt::Write as _;

use crate::svg::{GRID, begin, line, nice, number, text};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 520.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 180.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 52.0;

/// Colours that differ for most eyes.
const COLOURS: [&str; 7] = [
    "#1f5fa8", "#c0392b", "#2e8b57", "#b8860b", "#7d3c98", "#555555", "#16a2b8",
];

/// A curve.
pub struct Curve {
    /// What the legend calls it.
    pub name: String,
    /// Where it goes: step and value.
    pub points: Vec<(f64, f64)>,
}

impl Curve {
    /// The mean of several runs, each value the mean over `window` steps, with numbers of steps
    /// from 1.
    pub fn mean(name: &str, runs: &[Vec<f32>], window: usize) -> Self {
        let steps = runs.iter().map(Vec::len).min().unwrap_or(0);
        let windows = (0..steps).step_by(window.max(1));
        let points = windows.map(|from| {
            let range = from..(from + window.max(1)).min(steps);
            let values = runs.iter().flat_map(|run| &run[range.clone()]);
            let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| {
                (sum + f64::from(*value), count + 1.0)
            });
            (range.end as f64, sum / count)
        });
        Self {
            name: name.to_owned(),
            points: points.collect(),
        }
    }
}

/// Draws curves under a title; `y` says what the values are.
pub fn render(title: &str, y: &str, curves: &[Curve]) -> String {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let end = points().map(|point| point.0).fold(1.0, f64::max);
    let least = points().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let most = points().map(|point| point.1).fold(0.0, f64::max);
    let step = nice((most - least.min(most)).max(1e-3) / 5.0);
    let low = (least.min(most) / step).floor() * step;
    let high = (most / step).ceil() * step;
    let x = |at: f64| LEFT + (WIDTH - LEFT - RIGHT) * at / end;
    let height = |value: f64| {
        HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (value - low) / (high - low).max(step)
    };
    let mut svg = String::new();
    begin(&mut svg, WIDTH, HEIGHT);
    text(&mut svg, (LEFT, 18.0), "start", title);
    text(&mut svg, (LEFT, TOP - 8.0), "start", y);
    let lines = ((high - low) / step).round() as u32;
    for tick in 0..=lines {
        let value = low + f64::from(tick) * step;
        let at = height(value);
        let right = WIDTH - RIGHT;
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"{GRID}\"/>"
        );
        text(&mut svg, (LEFT - 8.0, at + 4.0), "end", &number(value));
    }
    let spacing = nice(end / 10.0);
    let mut tick = 0.0;
    while tick <= end {
        text(
            &mut svg,
            (x(tick), HEIGHT - BOTTOM + 18.0),
            "middle",
            &number(tick),
        );
        tick += spacing;
    }
    let middle = LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
    text(&mut svg, (middle, HEIGHT - 12.0), "middle", "steps");
    for (number, curve) in curves.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let points = curve
            .points
            .iter()
            .map(|(at, value)| (x(*at), height(*value)));
        line(&mut svg, points, colour);
        let at = TOP + 18.0 * number as f64;
        let (left, end) = (WIDTH - RIGHT + 12.0, WIDTH - RIGHT + 34.0);
        line(&mut svg, [(left, at), (end, at)].into_iter(), colour);
        text(&mut svg, (end + 6.0, at + 4.0), "start", &curve.name);
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_the_mean_of_its_runs() {
        let curve = Curve::mean("loss", &[vec![4.0, 2.0, 1.0], vec![2.0, 2.0, 3.0]], 2);
        assert_eq!(curve.points, [(2.0, 2.5), (3.0, 2.0)]);
        let svg = render("what", "nats", &[curve]);
        assert_eq!(
            svg.matches("<polyline").count(),
            2,
            "the curve and its mark in the legend"
        );
        assert!(svg.contains("loss") && !svg.contains("NaN"), "{svg}");
    }
}
