//! The picture of the experiment, as SVG: memory, answers and rounds over time, attacks shaded.

use std::fmt::Write as _;

use super::probe::Samples;
use crate::svg::{GRID, INK, LINE, begin, dot, line, nice, number, text};

/// Size of the picture, and where its panels lie, in pixels.
const WIDTH: f64 = 1240.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 64.0;
const PANEL: f64 = 190.0;
const GAP: f64 = 46.0;
const HEIGHT: f64 = TOP + 3.0 * PANEL + 2.0 * GAP + 48.0;

/// The colours of shades and of what went wrong.
const SHADE: &str = "#f3e6d0";
const BAD: &str = "#c0392b";

/// A panel: its title, its vertical range, and whether that is logarithmic.
struct Panel {
    title: &'static str,
    top: f64,
    low: f64,
    high: f64,
    log: bool,
    ticks: Vec<f64>,
}

impl Panel {
    fn y(&self, value: f64) -> f64 {
        let part = match self.log {
            true => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        self.top + PANEL * (1.0 - part.clamp(0.0, 1.0))
    }
}

/// Draws what was seen; a span has the name of its attack, and when it began and ended.
pub fn render(samples: &Samples, spans: &[(&str, (f64, f64))]) -> String {
    let end = samples.rss.last().map_or(1.0, |last| last.0.max(1.0));
    let x = |at: f64| LEFT + (WIDTH - LEFT - RIGHT) * at / end;
    let panels = panels(samples);
    let mut svg = String::new();
    begin(&mut svg, WIDTH, HEIGHT);
    for (number, (name, (from, to))) in spans.iter().enumerate() {
        let (left, width) = (x(*from), x(*to) - x(*from));
        let bottom = HEIGHT - TOP - 48.0;
        let _ = writeln!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{bottom}\" \
             fill=\"{SHADE}\"/>"
        );
        // Neighbours' names stand in two rows.
        let (middle, row) = (left + width / 2.0, TOP - 22.0 - 16.0 * (number % 2) as f64);
        text(&mut svg, (middle, row), "middle", name);
    }
    for panel in &panels {
        frame(&mut svg, panel);
    }
    let [memory, answers, rounds] = &panels;
    let points = samples.rss.iter().map(|(at, mib)| (x(*at), memory.y(*mib)));
    line(&mut svg, points, LINE);
    for (at, answer) in &samples.answers {
        match answer {
            Some(it) => dot(&mut svg, (x(*at), answers.y(it.ms)), 1.6, LINE),
            None => dot(&mut svg, (x(*at), answers.top + 4.0), 2.6, BAD),
        }
    }
    for (at, _, after, is_on_time) in &samples.rounds {
        let colour = if *is_on_time { LINE } else { BAD };
        dot(&mut svg, (x(*at), rounds.y(*after)), 4.0, colour);
    }
    for at in &samples.bans {
        dot(&mut svg, (x(*at), rounds.top + PANEL - 5.0), 2.0, INK);
    }
    time_axis(&mut svg, end, x);
    svg.push_str("</svg>\n");
    svg
}

fn panels(samples: &Samples) -> [Panel; 3] {
    let top = |number: f64| TOP + number * (PANEL + GAP);
    let memory = most(samples.rss.iter().map(|it| it.1));
    let waited = most(samples.answers.iter().filter_map(|it| Some(it.1?.ms)));
    let after = most(samples.rounds.iter().map(|it| it.2));
    let memory = nice(memory * 1.1);
    let decade = 10_f64.powf(waited.max(10.0).log10().ceil());
    let after = nice(after * 1.2);
    let quarters = |high: f64| (0..=4).map(|part| high * f64::from(part) / 4.0).collect();
    [
        Panel {
            title: "memory of the victim, MiB",
            top: top(0.0),
            low: 0.0,
            high: memory,
            log: false,
            ticks: quarters(memory),
        },
        Panel {
            title: "answer to an honest peer, ms (red: none within 5 s)",
            top: top(1.0),
            low: 0.1,
            high: decade,
            log: true,
            ticks: (-1..=5)
                .map(|power| 10_f64.powi(power))
                .filter(|tick| *tick <= decade)
                .collect(),
        },
        Panel {
            title: "decision after a round's windows, s (red: late; black: a ban)",
            top: top(2.0),
            low: 0.0,
            high: after,
            log: false,
            ticks: quarters(after),
        },
    ]
}

fn most(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, f64::max)
}

fn frame(svg: &mut String, panel: &Panel) {
    for tick in &panel.ticks {
        let y = panel.y(*tick);
        let right = WIDTH - RIGHT;
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"{GRID}\"/>"
        );
        text(svg, (LEFT - 8.0, y + 4.0), "end", &number(*tick));
    }
    text(svg, (LEFT, panel.top - 6.0), "start", panel.title);
}

fn time_axis(svg: &mut String, end: f64, x: impl Fn(f64) -> f64) {
    let step = nice(end / 12.0);
    let y = HEIGHT - 28.0;
    let mut at = 0.0;
    while at <= end {
        text(svg, (x(at), y), "middle", &number(at));
        at += step;
    }
    text(
        svg,
        (LEFT + (WIDTH - LEFT) / 2.0, HEIGHT - 8.0),
        "middle",
        "seconds; shaded while the attack that is named above goes on",
    );
}

#[cfg(test)]
mod tests {
    use super::super::probe::Answer;
    use super::*;

    #[test]
    fn a_picture_holds_what_was_seen() {
        let answer = Answer {
            ms: 2.0,
            waited_ms: 0.5,
        };
        let samples = Samples {
            rss: vec![(0.0, 50.0), (10.0, 60.0)],
            cpu: vec![(0.0, 0.1)],
            cores: Vec::new(),
            answers: vec![(1.0, Some(answer)), (2.0, None)],
            rounds: vec![(5.0, 0, 0.5, true)],
            bans: vec![6.0],
        };
        let svg = render(&samples, &[("a flood", (2.0, 4.0))]);
        assert_eq!(svg.matches("<circle").count(), 4);
        assert_eq!(svg.matches("<polyline").count(), 1);
        assert!(svg.contains("a flood") && !svg.contains("NaN"), "{svg}");
    }
}
