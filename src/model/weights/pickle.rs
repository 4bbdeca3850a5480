//! Python's pickle, as data: nothing in it is ever executed.
//!
//! Of Python's pickle machine this knows the opcodes that protocol 2 uses for dicts, tuples,
//! strings and numbers, and of Python's names those in [`Global::find`]. Anything else is an
//! error that names it. Values live in one arena and refer to earlier ones by index, so that each
//! opcode costs a bounded amount of memory however often a value is shared, and nothing recurses.

use super::tensor_data::StoredType;
use std::collections::HashMap;

/// Index of a value in the arena.
pub(super) type Id = usize;

pub(super) enum Value<'p> {
    /// Something a weight file may hold beside tensors: `None`, floats, lists.
    Other,
    Int(i64),
    Str(&'p str),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage {
        dtype: StoredType,
        key: &'p str,
        len: i64,
    },
    /// Holds the tuple of arguments of `_rebuild_tensor_v2`.
    Tensor(Id),
}

/// The Python names that a state dict needs.
#[derive(Clone, Copy)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    StorageType(StoredType),
}

impl Global {
    fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "DoubleStorage") => Self::StorageType(StoredType::F64),
            ("torch", "FloatStorage") => Self::StorageType(StoredType::F32),
            ("torch", "HalfStorage") => Self::StorageType(StoredType::F16),
            ("torch", "BFloat16Storage") => Self::StorageType(StoredType::BF16),
            ("torch", "LongStorage") => Self::StorageType(StoredType::I64),
            ("torch", "IntStorage") => Self::StorageType(StoredType::I32),
            ("torch", "ByteStorage" | "BoolStorage") => Self::StorageType(StoredType::U8),
            _ => return None,
        })
    }
}

/// Runs a pickle to its end. Returns the machine, which holds all values, and the result's index.
pub(super) fn run(pickle: &[u8]) -> Result<(Machine<'_>, Id), String> {
    let mut machine = Machine::default();
    let mut input = Input { bytes: pickle, at: 0 };
    loop {
        let start = input.at;
        match machine.step(&mut input) {
            Ok(None) => {}
            Ok(Some(result)) => return Ok((machine, result)),
            Err(reason) => return Err(format!("data.pkl, byte {start}: {reason}")),
        }
    }
}

struct Input<'p> {
    bytes: &'p [u8],
    at: usize,
}

impl<'p> Input<'p> {
    fn take(&mut self, len: usize) -> Result<&'p [u8], String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..len).ok_or("the pickle ends too early")?;
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| "the pickle ends too early".to_owned())
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn text(&mut self, len: usize) -> Result<&'p str, String> {
        std::str::from_utf8(self.take(len)?).map_err(|_| "a string is not UTF-8".to_owned())
    }

    /// Up to a newline, which is passed over.
    fn line(&mut self) -> Result<&'p str, String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = rest.iter().position(|b| *b == b'\n').ok_or("a name has no end")?;
        let line = self.text(len)?;
        self.at += 1;
        Ok(line)
    }
}

/// Pickle's stack machine.
#[derive(Default)]
pub(super) struct Machine<'p> {
    values: Vec<Value<'p>>,
    stack: Vec<Id>,
    /// Heights of the stack at open marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'p> Machine<'p> {
    /// One opcode. Returns the result of the pickle at its end.
    fn step(&mut self, input: &mut Input<'p>) -> Result<Option<Id>, String> {
        match input.byte()? {
            // PROTO
            0x80 => match input.byte()? {
                2 => {}
                other => return Err(format!("pickle protocol {other}; torch.save writes 2")),
            },
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),
            b'N' | 0x88 | 0x89 => self.push(Value::Other),
            // BININT, BININT1, BININT2, LONG1, BINFLOAT
            b'J' => {
                let int = i32::from_le_bytes(input.array()?);
                self.push(Value::Int(int.into()));
            }
            b'K' => {
                let int = input.byte()?;
                self.push(Value::Int(int.into()));
            }
            b'M' => {
                let int = u16::from_le_bytes(input.array()?);
                self.push(Value::Int(int.into()));
            }
            0x8a => {
                let len = input.byte()?;
                let value = long(input.take(len.into())?);
                self.push(value);
            }
            b'G' => {
                input.take(8)?;
                self.push(Value::Other);
            }
            // BINUNICODE, GLOBAL
            b'X' => {
                let len = input.u32()?;
                let text = input.text(usize::try_from(len).map_err(|e| e.to_string())?)?;
                self.push(Value::Str(text));
            }
            b'c' => {
                let (module, name) = (input.line()?, input.line()?);
                let global = Global::find(module, name).ok_or_else(|| {
                    format!("global `{}` is not one of a weight file's", quote(module, name))
                })?;
                self.push(Value::Global(global));
            }
            // BINPUT, LONG_BINPUT, BINGET, LONG_BINGET
            b'q' => {
                let slot = input.byte()?;
                self.remember(slot.into())?;
            }
            b'r' => {
                let slot = input.u32()?;
                self.remember(slot)?;
            }
            b'h' => {
                let slot = input.byte()?;
                self.recall(slot.into())?;
            }
            b'j' => {
                let slot = input.u32()?;
                self.recall(slot)?;
            }
            b']' => self.push(Value::Other),
            b'}' => self.push(Value::Dict(Vec::new())),
            // EMPTY_TUPLE, TUPLE1 … 3, TUPLE
            b')' => self.push(Value::Tuple(Vec::new())),
            size @ 0x85..=0x87 => {
                let first = self.stack.len().checked_sub(usize::from(size - 0x84));
                let items = self.pop_from(first.ok_or("the stack is empty")?)?;
                self.push(Value::Tuple(items));
            }
            b't' => {
                let items = self.pop_marked()?;
                self.push(Value::Tuple(items));
            }
            // APPEND, APPENDS: what lists hold is of no interest.
            b'a' => {
                self.pop()?;
            }
            b'e' => {
                self.pop_marked()?;
            }
            // SETITEM, SETITEMS
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_marked()?;
                self.set_items(&items)?;
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.push(storage);
            }
            b'R' => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                let value = self.call(function, arguments)?;
                self.push(value);
            }
            // BUILD: the attributes of an OrderedDict, such as its `_metadata`.
            b'b' => {
                self.pop()?;
                let object = self.stack.last().ok_or("the stack is empty")?;
                self.dict(*object).ok_or("attributes of something that is not a dict")?;
            }
            other => {
                let opcode = char::from(other).escape_default();
                return Err(format!("opcode `{opcode}` ({other:#04x}) has no place here"));
            }
        }
        Ok(None)
    }

    fn push(&mut self, value: Value<'p>) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    /// Pops a value that was pushed since the last open mark.
    fn pop(&mut self) -> Result<Id, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err("the stack is empty".into());
        }
        self.stack.pop().ok_or_else(|| "the stack is empty".into())
    }

    fn pop_from(&mut self, height: usize) -> Result<Vec<Id>, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if height < floor || height > self.stack.len() {
            return Err("the stack is empty".into());
        }
        Ok(self.stack.split_off(height))
    }

    fn pop_marked(&mut self) -> Result<Vec<Id>, String> {
        let height = self.marks.pop().ok_or("no mark is open")?;
        self.pop_from(height)
    }

    fn remember(&mut self, slot: u32) -> Result<(), String> {
        let id = *self.stack.last().ok_or("the stack is empty")?;
        self.memo.insert(slot, id);
        Ok(())
    }

    fn recall(&mut self, slot: u32) -> Result<(), String> {
        let id = *self.memo.get(&slot).ok_or_else(|| format!("memo {slot} was never written"))?;
        self.stack.push(id);
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), String> {
        let dict = self.stack.last().and_then(|id| self.values.get_mut(*id));
        let Some(Value::Dict(entries)) = dict else {
            return Err("items of something that is not a dict".into());
        };
        let (pairs, odd) = items.as_chunks::<2>();
        if !odd.is_empty() {
            return Err("a key without a value".into());
        }
        entries.extend(pairs.iter().map(|[key, value]| (*key, *value)));
        Ok(())
    }

    /// A persistent id, `("storage", type, key, device, elements)`.
    fn storage(&self, id: Id) -> Result<Value<'p>, String> {
        let expected = "a persistent id is not one of a storage";
        let Some([kind, dtype, key, _device, len]) = self.tuple(id) else {
            return Err(expected.into());
        };
        match (self.get(*kind), self.get(*dtype), self.get(*key), self.get(*len)) {
            (
                Some(Value::Str("storage")),
                Some(Value::Global(Global::StorageType(dtype))),
                Some(Value::Str(key)),
                Some(Value::Int(len)),
            ) => Ok(Value::Storage { dtype: *dtype, key, len: *len }),
            _ => Err(expected.into()),
        }
    }

    /// What a call of one of the known functions makes.
    fn call(&self, function: Id, arguments: Id) -> Result<Value<'p>, String> {
        let Some(Value::Global(function)) = self.get(function) else {
            return Err("a call of something that is not a function".into());
        };
        let items = self.tuple(arguments).ok_or("a call without a tuple of arguments")?;
        match (function, items) {
            (Global::OrderedDict, []) => Ok(Value::Dict(Vec::new())),
            (Global::RebuildTensor, [_, _, _, _, ..]) => Ok(Value::Tensor(arguments)),
            (Global::RebuildParameter, [tensor, ..]) => match self.get(*tensor) {
                Some(Value::Tensor(arguments)) => Ok(Value::Tensor(*arguments)),
                _ => Err("a parameter without a tensor".into()),
            },
            _ => Err("a call with unexpected arguments".into()),
        }
    }

    pub(super) fn get(&self, id: Id) -> Option<&Value<'p>> {
        self.values.get(id)
    }

    pub(super) fn dict(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.get(id) {
            Some(Value::Dict(entries)) => Some(entries),
            _ => None,
        }
    }

    pub(super) fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Some(Value::Tuple(items)) => Some(items),
            _ => None,
        }
    }
}

/// LONG1: two's complement, little-endian, of any length.
fn long<'p>(bytes: &[u8]) -> Value<'p> {
    let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
    let mut padded = [if negative { 0xff } else { 0 }; 8];
    match padded.get_mut(..bytes.len()) {
        Some(low) => {
            low.copy_from_slice(bytes);
            Value::Int(i64::from_le_bytes(padded))
        }
        None => Value::Other,
    }
}

/// A Python name for an error message: at most a line of it.
fn quote(module: &str, name: &str) -> String {
    let start =
        |text: &str| text.chars().take(80).flat_map(char::escape_default).collect::<String>();
    format!("{}.{}", start(module), start(name))
}
