//! Snowflake's functions that DataFusion lacks, as far as pushes and their checks use them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use freshet_sql::plan::Session;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Hash,
    ParseJson,
    Format,
    ToZone,
    Hex,
}

const FUNCTIONS: [(&str, Kind); 5] = [
    ("md5_number_lower64", Kind::Hash),
    ("parse_json", Kind::ParseJson),
    ("to_varchar", Kind::Format),
    ("convert_timezone", Kind::ToZone),
    ("hex_encode", Kind::Hex),
];

/// Adds all of them to a session.
pub fn register(session: &Session) {
    for (name, kind) in FUNCTIONS {
        let signature = Signature::variadic_any(Volatility::Immutable);
        session.add_function(ScalarUDF::new_from_impl(Function { name, kind, signature }));
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    name: &'static str,
    kind: Kind,
    signature: Signature,
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Kind::Hash => DataType::Decimal128(20, 0),
            Kind::ToZone => DataType::Timestamp(TimeUnit::Microsecond, None),
            Kind::ParseJson | Kind::Format | Kind::Hex => DataType::Utf8,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let first = arrays.first().ok_or_else(|| wrong("no argument"))?;
        let made: ArrayRef = match self.kind {
            Kind::Hash => hash(first)?,
            Kind::ParseJson => json(first)?,
            Kind::Format => format(first, &args.args)?,
            Kind::ToZone => {
                let second = arrays.get(1).ok_or_else(|| wrong("no time"))?;
                cast(second, &DataType::Timestamp(TimeUnit::Microsecond, None))?
            }
            Kind::Hex => hex(first)?,
        };
        debug_assert!(made.len() == rows || made.len() == 1);
        Ok(ColumnarValue::Array(made))
    }
}

fn wrong(what: &str) -> DataFusionError {
    DataFusionError::Execution(what.to_owned())
}

fn texts(array: &ArrayRef) -> Result<StringArray> {
    Ok(cast(array, &DataType::Utf8)?.as_string::<i32>().clone())
}

fn hash(array: &ArrayRef) -> Result<ArrayRef> {
    let one =
        |text: Option<&str>| text.map(|t| i128::from(freshet_sql::digest::lower64(t.as_bytes())));
    let hashes: Decimal128Array = texts(array)?.iter().map(one).collect();
    Ok(Arc::new(hashes.with_precision_and_scale(20, 0)?))
}

fn json(array: &ArrayRef) -> Result<ArrayRef> {
    let texts = texts(array)?;
    for text in texts.iter().flatten() {
        serde_json::from_str::<serde_json::Value>(text).map_err(|_| wrong("no JSON"))?;
    }
    Ok(Arc::new(texts))
}

fn format(array: &ArrayRef, args: &[ColumnarValue]) -> Result<ArrayRef> {
    let Some(ColumnarValue::Scalar(ScalarValue::Utf8(Some(form)))) = args.get(1) else {
        return Ok(cast(array, &DataType::Utf8)?);
    };
    let form = form
        .replace("YYYY", "%Y")
        .replace("MM", "%m")
        .replace("DD", "%d")
        .replace("HH24", "%H")
        .replace("MI", "%M")
        .replace("SS", "%S")
        .replace(".FF6", "%.6f");
    let options = FormatOptions::new()
        .with_timestamp_format(Some(&form))
        .with_date_format(Some(&form))
        .with_time_format(Some(&form));
    let formatter = ArrayFormatter::try_new(array.as_ref(), &options)?;
    let one = |row| array.is_valid(row).then(|| formatter.value(row).to_string());
    Ok(Arc::new((0..array.len()).map(one).collect::<StringArray>()))
}

fn hex(array: &ArrayRef) -> Result<ArrayRef> {
    let bytes = cast(array, &DataType::Binary)?;
    let one = |b: Option<&[u8]>| {
        b.map(|b| b.iter().map(|byte| format!("{byte:02X}")).collect::<String>())
    };
    Ok(Arc::new(bytes.as_binary::<i32>().iter().map(one).collect::<StringArray>()))
}
