//! Pictures as SVG: what plots are drawn with. Writing into a string cannot fail.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

/// The colours of axes, text and lines.
pub const GRID: &str = "#e3e3e3";
/// See [`GRID`].
pub const INK: &str = "#333333";
/// See [`GRID`].
pub const LINE: &str = "#1f5fa8";

/// Writes a picture, and the folder that it is to lie in.
///
/// # Errors
/// The system refuses.
pub fn save(path: &Path, svg: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    std::fs::write(path, svg).with_context(|| format!("write {}", path.display()))
}

/// A picture of so many pixels, white; it is ended by `</svg>`.
pub fn begin(svg: &mut String, width: f64, height: f64) {
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\" \
         fill=\"{INK}\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
}

/// The next number that quarters well.
pub fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(0.01).log10().floor());
    let steps = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0];
    let step = steps.into_iter().find(|step| step * power >= value);
    step.unwrap_or(10.0) * power
}

/// A number without zeros that say nothing.
pub fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short.is_empty() {
        "0".into()
    } else {
        short.into()
    }
}

/// Words at a place; `anchor` is `start`, `middle` or `end`.
pub fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}

/// A filled circle.
pub fn dot(svg: &mut String, (x, y): (f64, f64), radius: f64, colour: &str) {
    let _ = writeln!(
        svg,
        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{colour}\"/>"
    );
}

/// A line through points.
pub fn line(svg: &mut String, points: impl Iterator<Item = (f64, f64)>, colour: &str) {
    let points: Vec<_> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
        points.join(" ")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!(
            [0.7, 1.0, 13.0, 66.0, 810.0].map(nice),
            [0.8, 1.0, 20.0, 80.0, 1000.0]
        );
        assert_eq!([0.0, 0.5, 20.0].map(number), ["0", "0.5", "20"]);
    }
}
