//! Text tables: columns as wide as their longest cell.

/// A heading and rows, one line each. Control characters become spaces, so that a cell can't break its line.
pub(super) fn table(headings: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let clean = |cell: String| -> String {
        cell.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect()
    };
    let headings = headings
        .iter()
        .map(|heading| (*heading).to_owned())
        .collect();
    let lines: Vec<Vec<String>> = std::iter::once(headings)
        .chain(rows.map(|row| row.into_iter().map(clean).collect()))
        .collect();
    let columns = lines[0].len();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).filter_map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn cells_align_with_their_heading_and_stay_on_one_line() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let text = table(
            &["A", "B"],
            [row(["long", "x\ny"]), row(["c", ""])].into_iter(),
        );
        assert_eq!(text, "A     B\nlong  x y\nc\n");
    }
}
