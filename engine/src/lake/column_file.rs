//! Rows as a file that is read as memory: one Arrow file a column, one after the other.
//!
//! Who writes an Arrow file of a batch makes its whole body in memory first. Column by column that is
//! the largest column, so rows that go to disk for want of room need little of it on their way. What
//! is read are slices of the file: it must never be changed while they live.
//!
//! ```text
//! column 0 | column 1 | .. | where each begins and the last ends | rows | columns | COLUMNS1
//! ```
//!
//! Each column begins at a multiple of 64 bytes; the numbers at the end are 8 bytes each, little-endian.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::buffer::Buffer;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::{FileDecoder, read_footer_length};
use arrow::ipc::root_as_footer;
use arrow::ipc::writer::FileWriter;

type Result<T> = std::result::Result<T, ArrowError>;

const ALIGNMENT: usize = 64;
/// The last word of a file that was written to its end.
const MAGIC: &[u8] = b"COLUMNS1";
/// Bytes of a number at the end.
const NUMBER: usize = 8;
/// Bytes at an Arrow file's end: the footer's length and the magic word.
const TRAILER: usize = 10;

/// Writes rows; `after_column` is called after each column, and its error ends the writing.
pub fn write<W: Write>(
    out: W,
    rows: &RecordBatch,
    mut after_column: impl FnMut(&mut W) -> io::Result<()>,
) -> Result<W> {
    let mut out = Counted { out, bytes: 0 };
    let mut numbers = Vec::with_capacity(rows.num_columns() + 3);
    for column in 0..rows.num_columns() {
        numbers.push(out.bytes);
        let mut writer = FileWriter::try_new(&mut out, &schema_of(rows.schema_ref(), column))?;
        writer.write(&rows.project(&[column])?)?;
        writer.finish()?;
        drop(writer);
        let past = out.bytes % ALIGNMENT;
        if past > 0 {
            out.write_all(&[0; ALIGNMENT][past..])?;
        }
        after_column(&mut out.out)?;
    }
    numbers.extend([out.bytes, rows.num_rows(), rows.num_columns()]);
    for number in numbers {
        out.write_all(&(number as u64).to_le_bytes())?;
    }
    out.write_all(MAGIC)?;
    Ok(out.out)
}

fn schema_of(schema: &SchemaRef, column: usize) -> Schema {
    let field: FieldRef = schema.fields()[column].clone();
    Schema::new_with_metadata(vec![field], schema.metadata().clone())
}

/// The rows of a file, whose columns are slices of it.
pub fn read(file: &Buffer) -> Result<RecordBatch> {
    let mut end = file.strip_suffix(MAGIC).ok_or_else(broken)?.len();
    let columns = last_number(file, &mut end)?;
    let rows = last_number(file, &mut end)?;
    let mut until = last_number(file, &mut end)?;
    let (mut fields, mut arrays, mut metadata) = (Vec::new(), Vec::new(), Default::default());
    for _ in 0..columns {
        let from = last_number(file, &mut end)?;
        let (schema, array) = column(&part(file, from..until)?)?;
        if array.len() != rows {
            return Err(broken());
        }
        fields.push(schema.fields().first().cloned().ok_or_else(broken)?);
        metadata = schema.metadata;
        arrays.push(array);
        until = from;
    }
    fields.reverse();
    arrays.reverse();
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, arrays, &options)
}

/// The number before `end`, which it becomes the place of.
fn last_number(file: &Buffer, end: &mut usize) -> Result<usize> {
    let from = end.checked_sub(NUMBER).ok_or_else(broken)?;
    let bytes = file.get(from..*end).and_then(|bytes| bytes.try_into().ok()).ok_or_else(broken)?;
    *end = from;
    usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| broken())
}

fn part(file: &Buffer, at: Range<usize>) -> Result<Buffer> {
    let is_within = at.start <= at.end && at.end <= file.len();
    is_within.then(|| file.slice_with_length(at.start, at.len())).ok_or_else(broken)
}

/// The one column of an Arrow file, padded at its end.
fn column(padded: &Buffer) -> Result<(Schema, ArrayRef)> {
    let end = (0..ALIGNMENT.min(padded.len()))
        .find(|&back| padded[..padded.len() - back].ends_with(b"ARROW1"));
    let file = part(padded, 0..padded.len() - end.ok_or_else(broken)?)?;
    let trailer = file.len().checked_sub(TRAILER).ok_or_else(broken)?;
    let end: [u8; TRAILER] = file[trailer..].try_into().map_err(|_| broken())?;
    let footer = trailer.checked_sub(read_footer_length(end)?).ok_or_else(broken)?;
    let footer =
        root_as_footer(&file[footer..trailer]).map_err(|e| ArrowError::IpcError(e.to_string()))?;
    let schema = fb_to_schema(footer.schema().ok_or_else(broken)?);
    let mut decoder =
        FileDecoder::new(Arc::new(schema.clone()), footer.version()).with_require_alignment(true);
    let slice = |block: &arrow::ipc::Block| {
        let offset = usize::try_from(block.offset()).map_err(|_| broken())?;
        let body = usize::try_from(block.bodyLength()).map_err(|_| broken())?;
        let meta = usize::try_from(block.metaDataLength()).map_err(|_| broken())?;
        let end =
            offset.checked_add(body).and_then(|it| it.checked_add(meta)).ok_or_else(broken)?;
        part(&file, offset..end)
    };
    for block in footer.dictionaries().iter().flatten() {
        decoder.read_dictionary(block, &slice(block)?)?;
    }
    let block = footer.recordBatches().and_then(|blocks| blocks.iter().next());
    let block = block.ok_or_else(broken)?;
    let rows = decoder.read_record_batch(block, &slice(block)?)?.ok_or_else(broken)?;
    let array = rows.columns().first().cloned().ok_or_else(broken)?;
    Ok((schema, array))
}

fn broken() -> ArrowError {
    ArrowError::IpcError("a file of rows is cut off, or of another form".to_owned())
}

/// Knows how much went through it.
struct Counted<W> {
    out: W,
    bytes: usize,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Int64Array, ListArray, StringArray};
    use arrow::datatypes::{DataType, Field, Int32Type, Int64Type};

    use super::*;

    fn rows() -> RecordBatch {
        let list: ListArray = ListArray::from_iter_primitive::<Int64Type, _, _>([
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
        ]);
        let coded: DictionaryArray<Int32Type> =
            [Some("a"), Some("b"), Some("a")].into_iter().collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(7), None, Some(-1)])),
            Arc::new(StringArray::from(vec![Some(""), Some("ü|\\"), None])),
            Arc::new(list),
            Arc::new(coded),
            Arc::new(StringArray::from(vec!["not null"; 3])),
        ];
        let named = columns
            .iter()
            .enumerate()
            .map(|(n, c)| Field::new(format!("c{n}"), c.data_type().clone(), n < 4));
        let metadata = [("of".to_owned(), "it".to_owned())].into();
        let schema = Schema::new_with_metadata(named.collect::<Vec<_>>(), metadata);
        RecordBatch::try_new(Arc::new(schema), columns).unwrap()
    }

    fn file(rows: &RecordBatch) -> Vec<u8> {
        write(Vec::new(), rows, |_| Ok(())).unwrap()
    }

    /// Aligned, as a mapping is.
    fn buffer(file: &[u8]) -> Buffer {
        Buffer::from_slice_ref(file)
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let empty = RecordBatch::new_empty(Arc::new(Schema::new(vec![Field::new(
            "id",
            DataType::Int64,
            false,
        )])));
        let options = RecordBatchOptions::new().with_row_count(Some(5));
        let without_columns =
            RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
        for rows in [rows(), rows().slice(1, 2), empty, without_columns] {
            assert_eq!(read(&buffer(&file(&rows))).unwrap(), rows);
        }
    }

    #[test]
    fn a_cut_file_is_refused() {
        let whole = file(&rows());
        for length in 0..whole.len() {
            assert!(read(&buffer(&whole[..length])).is_err(), "{length} of {}", whole.len());
        }
    }

    #[test]
    fn writing_ends_where_it_is_told_to() {
        let mut columns = 0;
        let ended = write(Vec::new(), &rows(), |_| {
            columns += 1;
            if columns < 2 { Ok(()) } else { Err(io::ErrorKind::Interrupted.into()) }
        });
        assert!(ended.is_err());
        assert_eq!(columns, 2);
    }
}
