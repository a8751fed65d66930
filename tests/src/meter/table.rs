//! Tables as text and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::estimate::Estimate;

/// One cell.
#[derive(Clone, Debug)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A probability, measured.
    Share(Estimate),
    /// Another figure, measured.
    Number(Estimate),
    /// A probability, computed only.
    Odds(f64),
    /// Another figure, computed only.
    Plain(f64),
    /// Too few samples.
    Nothing,
}

impl Cell {
    /// A probability, if there were enough samples.
    #[must_use]
    pub fn share(estimate: Option<Estimate>) -> Self {
        estimate.map_or(Self::Nothing, Self::Share)
    }

    /// A figure, if there were enough samples.
    #[must_use]
    pub fn number(estimate: Option<Estimate>) -> Self {
        estimate.map_or(Self::Nothing, Self::Number)
    }

    fn text(&self) -> String {
        let measured = |estimate: &Estimate, show: fn(f64) -> String| {
            let (value, error) = (show(estimate.value), show(estimate.error));
            let closed = estimate.closed.map_or("-".to_owned(), show);
            format!("{value} ± {error} [{closed}]")
        };
        match self {
            Self::Text(text) => text.clone(),
            Self::Share(estimate) => measured(estimate, percent),
            Self::Number(estimate) => measured(estimate, number),
            Self::Odds(p) => format!("[{}]", percent(*p)),
            Self::Plain(value) => format!("[{}]", number(*value)),
            Self::Nothing => "too few".to_owned(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Share(estimate) | Self::Number(estimate) => json!({
                "value": estimate.value,
                "error": estimate.error,
                "samples": estimate.samples,
                "closed": estimate.closed,
                "deviation": estimate.deviation(),
            }),
            Self::Odds(value) | Self::Plain(value) => json!({ "closed": value }),
            Self::Nothing => Value::Null,
        }
    }
}

/// A probability in per cent, with as many digits as it needs.
#[must_use]
pub fn percent(p: f64) -> String {
    if (0.999_5..1.0).contains(&p) {
        return "> 99.9 %".to_owned();
    }
    let p = 100.0 * p;
    let digits = if p >= 10.0 || p == 0.0 {
        1
    } else if p >= 1.0 {
        2
    } else {
        3
    };
    format!("{p:.digits$} %")
}

fn number(value: f64) -> String {
    let digits = if value.abs() >= 100.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else if value.abs() >= 0.1 {
        2
    } else {
        4
    };
    format!("{value:.digits$}")
}

/// A table with a name.
#[derive(Clone, Debug)]
pub struct Table {
    /// Short, for JSON.
    pub name: String,
    /// What it says.
    pub title: String,
    /// Column heads.
    pub head: Vec<String>,
    /// Rows.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(name: &str, title: &str, head: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            title: title.to_owned(),
            head: head.iter().map(|&text| text.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// As Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("### {}\n\n", self.title);
        let mut line = |cells: &[String]| _ = writeln!(text, "| {} |", cells.join(" | "));
        line(&self.head);
        line(&vec!["---".to_owned(); self.head.len()]);
        for row in &self.rows {
            line(&row.iter().map(Cell::text).collect::<Vec<_>>());
        }
        text
    }

    /// As JSON: one object per row, keyed by the column heads.
    #[must_use]
    pub fn json(&self) -> Value {
        let row = |cells: &Vec<Cell>| -> Value {
            let pairs = self.head.iter().cloned().zip(cells.iter().map(Cell::json));
            Value::Object(pairs.collect())
        };
        let rows: Vec<Value> = self.rows.iter().map(row).collect();
        json!({ "name": self.name, "title": self.title, "rows": rows })
    }
}
