//! What commands print on standard output: tables for people, JSON for programs.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is where commands print")]

use serde::Serialize;

use super::failure::Failure;

/// Lays rows out below `heads`, columns two blanks apart.
#[must_use]
pub fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&heads).chain(rows).collect();
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths);
        let padded = padded.map(|(cell, &width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Prints a line.
pub fn line(text: &str) {
    println!("{text}");
}

/// Prints a line on standard error: for people, beside what a program reads.
pub fn tell(text: &str) {
    eprintln!("{text}");
}

/// Prints a value as JSON, indented.
///
/// # Errors
/// [`Failure::Failed`] for a value that JSON cannot hold.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value);
    line(&text.map_err(|error| Failure::Failed(error.to_string()))?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_their_heads() {
        let rows = [vec!["ada".to_owned(), "owner".to_owned()], vec!["grace hopper".to_owned(), String::new()]];
        let wanted = "NAME          ROLE\nada           owner\ngrace hopper";
        assert_eq!(table(&["NAME", "ROLE"], &rows), wanted);
    }
}
