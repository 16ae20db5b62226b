//! Columns for people: no lines, no padding at the left, two blanks between.

use comfy_table::{Row, Table, presets};

/// `rows` below `header`, each column as wide as its widest cell.
pub fn columns<R: Into<Row>>(header: impl Into<Row>, rows: impl IntoIterator<Item = R>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// The same without a header.
pub fn rows<R: Into<Row>>(rows: impl IntoIterator<Item = R>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let text = columns(["A", "B"], [["long", "x"], ["y", "z"]]);
        assert_eq!(text, "A     B\nlong  x\ny     z");
    }
}
