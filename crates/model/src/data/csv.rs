//! Numbers separated by commas, semicolons, tabs or blanks, one row a line. A first line that is not
//! numeric is a heading.

use super::{Array, Element};

/// Parses a file.
pub(super) fn parse(bytes: &[u8]) -> Result<Array, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8 text")?;
    let (mut values, mut width, mut rows) = (Vec::new(), 0, 0);
    for (number, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let fields = line.split([',', ';', '\t', ' ']).map(str::trim).filter(|f| !f.is_empty());
        let parsed: Result<Vec<f32>, String> = fields
            .map(|f| f.parse().map_err(|_| format!("line {}: `{f:.40}` is not a number", number + 1)))
            .collect();
        let row = match parsed {
            Err(_) if rows == 0 && number == 0 => continue,
            other => other?,
        };
        if rows > 0 && row.len() != width {
            return Err(format!("line {} has {} numbers, the first row has {width}", number + 1, row.len()));
        }
        width = row.len();
        rows += 1;
        values.extend(row);
    }
    if rows == 0 {
        return Err("holds no numbers".into());
    }
    let whole = values.iter().all(|v: &f32| v.fract() == 0.0 && v.abs() <= 16_777_216.0);
    Array::new(vec![rows, width], if whole { Element::Int } else { Element::Float }, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_a_heading_and_names_the_line_of_a_bad_field() {
        let array = parse(b"a,b\n1,2\n-3,4.5\n").unwrap();
        assert_eq!((array.shape, array.values), (vec![2, 2], vec![1.0, 2.0, -3.0, 4.5]));
        assert!(parse(b"1,2\n3,x\n").unwrap_err().contains("line 2"));
        assert!(parse(b"1,2\n3\n").unwrap_err().contains("has 1 numbers"));
        assert!(parse(b"1,inf\n").unwrap_err().contains("infinite"));
    }
}
