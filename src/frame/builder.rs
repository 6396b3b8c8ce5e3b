//! Cells as a wire gives them in, a frame out.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::NaiveDate;
use polars::prelude::{
    BooleanChunked, DataFrame, Int32Chunked, Int64Chunked, Int128Chunked, IntoSeries, NewChunkedArray, PlSmallStr,
    PolarsResult, Series, StringChunkedBuilder, TimeUnit, UInt128Chunked,
};
use uuid::Uuid;

use crate::frame::unreadable::Unreadable;
use crate::frame::{
    Cell, CellError, Column, Frame, Kind, Value, choices, choices_text, days, decimal, parse_decimal, parse_time,
    parse_whole,
};

enum Cells {
    Text(StringChunkedBuilder, usize),
    Choices(StringChunkedBuilder, usize),
    Integer(Vec<Option<i64>>),
    Decimal(Vec<Option<i128>>, u32),
    Boolean(Vec<Option<bool>>),
    Date(Vec<Option<i32>>),
    DateTime(Vec<Option<i64>>),
    Guid(Vec<Option<u128>>),
}

impl Cells {
    fn new(kind: Kind) -> Cells {
        match kind {
            Kind::Text | Kind::Code | Kind::Enum => Cells::Text(StringChunkedBuilder::new(PlSmallStr::EMPTY, 0), 0),
            Kind::Integer | Kind::Choice => Cells::Integer(Vec::new()),
            Kind::Choices => Cells::Choices(StringChunkedBuilder::new(PlSmallStr::EMPTY, 0), 0),
            Kind::Decimal { scale } => Cells::Decimal(Vec::new(), scale),
            Kind::Boolean => Cells::Boolean(Vec::new()),
            Kind::Date => Cells::Date(Vec::new()),
            Kind::DateTime => Cells::DateTime(Vec::new()),
            Kind::Guid => Cells::Guid(Vec::new()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Cells::Text(_, length) | Cells::Choices(_, length) => *length,
            Cells::Integer(cells) => cells.len(),
            Cells::Decimal(cells, _) => cells.len(),
            Cells::Boolean(cells) => cells.len(),
            Cells::Date(cells) => cells.len(),
            Cells::DateTime(cells) => cells.len(),
            Cells::Guid(cells) => cells.len(),
        }
    }

    /// Appends a cell; `false` where it does not fit.
    fn push(&mut self, cell: Cell<'_>) -> bool {
        fn keep<T>(cells: &mut Vec<Option<T>>, cell: Option<T>) -> bool {
            let fits = cell.is_some();
            if fits {
                cells.push(cell);
            }
            fits
        }
        match (self, cell) {
            (Cells::Text(cells, length) | Cells::Choices(cells, length), Cell::Null) => {
                cells.append_null();
                *length += 1;
                true
            }
            (Cells::Text(cells, length), Cell::Text(text) | Cell::Number(text)) => {
                cells.append_value(text);
                *length += 1;
                true
            }
            (Cells::Text(cells, length), Cell::Boolean(value)) => {
                cells.append_value(if value { "true" } else { "false" });
                *length += 1;
                true
            }
            // One alone may come as a number.
            (Cells::Choices(cells, length), Cell::Text(text) | Cell::Number(text)) => {
                let numbers = choices(text).or_else(|| Some(vec![parse_whole(text)?]));
                if let Some(numbers) = &numbers {
                    match choices_text(numbers) {
                        Value::Text(text) => cells.append_value(text),
                        _ => cells.append_null(),
                    }
                    *length += 1;
                }
                numbers.is_some()
            }
            (Cells::Integer(cells), Cell::Null) => {
                cells.push(None);
                true
            }
            (Cells::Integer(cells), Cell::Number(text)) => keep(cells, parse_whole(text)),
            (Cells::Decimal(cells, _), Cell::Null) => {
                cells.push(None);
                true
            }
            (Cells::Decimal(cells, scale), Cell::Number(text)) => {
                // What could not be taken out again is not taken in.
                keep(cells, parse_decimal(text, *scale).filter(|mantissa| decimal(*mantissa, *scale).is_some()))
            }
            (Cells::Boolean(cells), Cell::Null) => {
                cells.push(None);
                true
            }
            (Cells::Boolean(cells), Cell::Boolean(value)) => keep(cells, Some(value)),
            (Cells::Date(cells), Cell::Null) => {
                cells.push(None);
                true
            }
            (Cells::Date(cells), Cell::Text(text)) => {
                // A date-only column may print a midnight behind it.
                let date = text.get(..10).unwrap_or(text);
                keep(cells, date.parse::<NaiveDate>().ok().map(days))
            }
            (Cells::DateTime(cells), Cell::Null) => {
                cells.push(None);
                true
            }
            (Cells::DateTime(cells), Cell::Text(text)) => keep(cells, parse_time(text)),
            (Cells::Guid(cells), Cell::Null) => {
                cells.push(None);
                true
            }
            (Cells::Guid(cells), Cell::Text(text)) => keep(cells, Uuid::try_parse(text).ok().map(|id| id.as_u128())),
            _ => false,
        }
    }

    fn finish(self, name: &str) -> PolarsResult<Series> {
        let name = PlSmallStr::from_str(name);
        Ok(match self {
            Cells::Text(cells, _) | Cells::Choices(cells, _) => cells.finish().with_name(name).into_series(),
            Cells::Integer(cells) => Int64Chunked::from_iter_options(name, cells.into_iter()).into_series(),
            Cells::Decimal(cells, scale) => Int128Chunked::from_iter_options(name, cells.into_iter())
                .into_decimal(38, scale as usize)?
                .into_series(),
            Cells::Boolean(cells) => BooleanChunked::from_iter_options(name, cells.into_iter()).into_series(),
            Cells::Date(cells) => Int32Chunked::from_iter_options(name, cells.into_iter()).into_date().into_series(),
            Cells::DateTime(cells) => Int64Chunked::from_iter_options(name, cells.into_iter())
                .into_datetime(TimeUnit::Milliseconds, None)
                .into_series(),
            Cells::Guid(cells) => UInt128Chunked::from_iter_options(name, cells.into_iter()).into_series(),
        })
    }
}

/// Takes records cell by cell and makes a [`Frame`].
pub struct Builder {
    columns: Vec<Column>,
    cells: Vec<Cells>,
    ids: Vec<Option<u128>>,
    etags: StringChunkedBuilder,
    unreadable: BTreeMap<Uuid, Unreadable>,
}

impl Builder {
    /// Starts a frame with these columns besides id and etag.
    pub fn new(columns: Vec<Column>) -> Builder {
        let cells = columns.iter().map(|column| Cells::new(column.kind)).collect();
        let etags = StringChunkedBuilder::new(PlSmallStr::from_static(Frame::ETAG), 0);
        Builder { columns, cells, ids: Vec::new(), etags, unreadable: BTreeMap::new() }
    }

    /// Returns the columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Gives the present record a cell; the second one for a column within a record replaces nothing and is refused.
    pub fn push(&mut self, column: usize, cell: Cell<'_>) -> Result<(), CellError> {
        let rows = self.ids.len();
        let cells = &mut self.cells[column];
        if cells.len() == rows && cells.push(cell) {
            return Ok(());
        }
        let text: Cow<'_, str> = match cell {
            Cell::Null => "null".into(),
            Cell::Text(text) | Cell::Number(text) => text.into(),
            Cell::Boolean(value) => value.to_string().into(),
        };
        let kind = self.columns[column].kind.word();
        Err(CellError { column: self.columns[column].name.clone(), cell: text.into_owned(), kind })
    }

    /// Gives the present record a value, as [`Builder::push`] does a cell.
    pub fn push_value(&mut self, column: usize, value: &Value) -> Result<(), CellError> {
        let text = value.to_string();
        self.push(
            column,
            match value {
                Value::Null => Cell::Null,
                Value::Integer(_) | Value::Decimal(_) => Cell::Number(&text),
                Value::Boolean(value) => Cell::Boolean(*value),
                _ => Cell::Text(&text),
            },
        )
    }

    /// Ends the present record; a column that got no cell is null in it.
    pub fn end(&mut self, id: Uuid, etag: &str) {
        let rows = self.ids.len();
        for cells in &mut self.cells {
            if cells.len() == rows {
                cells.push(Cell::Null);
            }
        }
        self.ids.push(Some(id.as_u128()));
        self.etags.append_value(etag);
        // Of a record that comes twice the later row counts.
        self.unreadable.remove(&id);
    }

    /// Ends the present record as one that could not be read to the end.
    pub fn end_unreadable(&mut self, id: Uuid, etag: &str, why: Unreadable) {
        self.end(id, etag);
        self.unreadable.insert(id, why);
    }

    /// Returns the records so far that could not be read to the end, and why.
    pub fn unreadables(&self) -> &BTreeMap<Uuid, Unreadable> {
        &self.unreadable
    }

    /// Returns the number of records that are complete.
    pub fn rows(&self) -> usize {
        self.ids.len()
    }

    /// Makes the frame.
    pub fn finish(self) -> Frame {
        let height = self.ids.len();
        let ids = UInt128Chunked::from_iter_options(PlSmallStr::from_static(Frame::ID), self.ids.into_iter());
        let mut series = vec![ids.into_series(), self.etags.finish().into_series()];
        for (column, cells) in self.columns.iter().zip(self.cells) {
            series.push(cells.finish(&column.name).expect("38 digits hold any scale that a column has"));
        }
        let data = DataFrame::new(height, series.into_iter().map(Into::into).collect())
            .expect("each column has one cell for each record, and names are distinct");
        Frame { columns: self.columns, data, unreadable: self.unreadable }
    }
}
