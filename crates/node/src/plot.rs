//! Charts for people who would rather look than read.

use crate::cmd::bench::Row;
use crate::fault::{Fault, Result};
use plotters::prelude::*;

const WIDTH: u32 = 900;
const ROW: u32 = 26;
const MARGIN: u32 = 70;
const INK: RGBColor = RGBColor(40, 44, 52);

/// A bar chart of proving times on a logarithmic scale, one row a bar, with time, memory and size beside it: an SVG document.
///
/// # Errors
/// `plot.draw`.
pub fn bars(rows: &[Row]) -> Result<String> {
    let trouble = |error: &dyn std::fmt::Display| Fault::trouble("plot.draw", "a chart", error);
    let mut svg = String::new();
    let height = MARGIN + ROW * rows.len() as u32 + 50;
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE).map_err(|e| trouble(&e))?;
        let style = |size: i32| ("sans-serif", size).into_font().color(&INK);
        let text = |label: &str, size: i32, at: (i32, i32)| area.draw_text(label, &style(size), at);
        text("Time to prove, milliseconds (logarithmic)", 18, (16, 14)).map_err(|e| trouble(&e))?;
        let most = rows.iter().map(|r| r.prove_ms).fold(10.0, f64::max).log10().ceil();
        let (left, right) = (230, WIDTH as i32 - 220);
        let place = |ms: f64| left + (f64::from(right - left) * ms.max(1.0).log10() / most) as i32;
        let bottom = (MARGIN + ROW * rows.len() as u32) as i32;
        for power in 0..=most as i32 {
            let x = place(10f64.powi(power));
            let line = PathElement::new(vec![(x, MARGIN as i32 - 8), (x, bottom)], RGBColor(220, 224, 230));
            area.draw(&line).map_err(|e| trouble(&e))?;
            text(&format!("{}", 10f64.powi(power)), 12, (x - 8, bottom + 8)).map_err(|e| trouble(&e))?;
        }
        for (i, row) in rows.iter().enumerate() {
            let top = (MARGIN + ROW * i as u32) as i32;
            let colour =
                if row.weights == "private" { RGBColor(120, 80, 200) } else { RGBColor(30, 140, 120) };
            let bar = Rectangle::new([(left, top + 4), (place(row.prove_ms), top + 20)], colour.filled());
            area.draw(&bar).map_err(|e| trouble(&e))?;
            let label = format!("{} {} x{}", row.model, row.weights, row.batch);
            text(&label, 13, (16, top + 5)).map_err(|e| trouble(&e))?;
            let figures = format!(
                "{:.0} ms, {:.0} MB, {:.0} kB",
                row.prove_ms,
                row.peak_megabytes,
                row.proof_bytes / 1e3
            );
            text(&figures, 13, (place(row.prove_ms) + 8, top + 5)).map_err(|e| trouble(&e))?;
        }
        area.present().map_err(|e| trouble(&e))?;
    }
    Ok(svg)
}

/// A chart of what lying brought each liar, one strategy a bar, losses to the left of the line: an SVG document.
///
/// # Errors
/// `plot.draw`.
pub fn profits(rows: &[proofmesh_sim::Row]) -> Result<String> {
    let trouble = |error: &dyn std::fmt::Display| Fault::trouble("plot.draw", "a chart", error);
    let mut svg = String::new();
    let height = MARGIN + ROW * rows.len() as u32 + 30;
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE).map_err(|e| trouble(&e))?;
        let style = |size: i32| ("sans-serif", size).into_font().color(&INK);
        let text = |label: &str, size: i32, at: (i32, i32)| area.draw_text(label, &style(size), at);
        text("What lying brought each liar, USD", 18, (16, 14)).map_err(|e| trouble(&e))?;
        let each = |row: &proofmesh_sim::Row| row.profit_micro as f64 / 1e6 / row.liars.max(1) as f64;
        let most = rows.iter().map(|row| each(row).abs()).fold(0.01, f64::max);
        let (middle, half) = (WIDTH as i32 / 2 + 60, 300.0);
        for (i, row) in rows.iter().enumerate() {
            let top = (MARGIN + ROW * i as u32) as i32;
            let x = middle + (half * each(row) / most) as i32;
            let colour = if each(row) > 0.0 { RGBColor(190, 40, 40) } else { RGBColor(30, 140, 120) };
            let bar = Rectangle::new([(x.min(middle), top + 4), (x.max(middle), top + 20)], colour.filled());
            area.draw(&bar).map_err(|e| trouble(&e))?;
            text(&row.strategy, 13, (16, top + 5)).map_err(|e| trouble(&e))?;
            text(&format!("{:.2}", each(row)), 13, (middle + 8, top + 5)).map_err(|e| trouble(&e))?;
        }
        let bottom = (MARGIN + ROW * rows.len() as u32) as i32;
        let line = PathElement::new(vec![(middle, MARGIN as i32), (middle, bottom)], INK);
        area.draw(&line).map_err(|e| trouble(&e))?;
        area.present().map_err(|e| trouble(&e))?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_names_its_rows_and_longer_bars_take_longer() {
        let row = |model: &str, prove_ms: f64| Row {
            model: model.into(),
            weights: "public".into(),
            profile: "device".into(),
            batch: 1,
            prove_ms,
            ..Row::default()
        };
        let svg = bars(&[row("short", 20.0), row("a<b", 2000.0)]).expect("a chart");
        assert!(svg.starts_with("<svg") && svg.contains("short") && !svg.contains("a<b"));
        let widths: Vec<f64> = svg
            .split("<rect ")
            .filter(|part| part.contains("#1E8C78"))
            .filter_map(|part| part.split("width=\"").nth(1)?.split('"').next()?.parse().ok())
            .collect();
        assert!(widths.len() == 2 && widths[0] < widths[1], "{widths:?}");
    }
}
