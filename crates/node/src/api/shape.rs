//! The shape of a document, read from its type's own `Deserialize`: said once, in Rust, and written out as JSON Schema
//! ([`super::openapi`]) and as the page's TypeScript (`tests/node/types.rs`).
//!
//! A deserializer without any data hands every type the fields that it asks for, notes what they were asked as, and makes
//! up a value; where a text must have a form (a hash, a device), [`Form`]s are tried in turn.

use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use serde::de::{
    DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use std::collections::BTreeMap;

/// What a text has to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Anything.
    Any,
    /// `0x` and an even number of hexadecimal digits.
    Bytes,
    /// `0x` and so many hexadecimal digits.
    Digits(usize),
    /// `did:key:` of a device.
    Device,
}

/// Texts that the documents' types take, in the order of trying.
const FORMS: [Form; 7] = [
    Form::Any,
    Form::Bytes,
    Form::Digits(40),
    Form::Digits(64),
    Form::Digits(128),
    Form::Digits(130),
    Form::Device,
];

impl Form {
    /// A text of the form.
    #[must_use]
    pub fn example(self) -> String {
        match self {
            Form::Any => "text".to_owned(),
            Form::Bytes => "0x".to_owned(),
            Form::Digits(digits) => format!("0x{}", "0".repeat(digits)),
            Form::Device => "did:key:z6MkeTG3bFFSLYVU7VqhgZxqr6YzpaGrQtFMh1uvqGy1vDnP".to_owned(),
        }
    }
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// True or false.
    Flag,
    /// A whole number within bounds.
    Whole {
        /// The least.
        least: i64,
        /// The most.
        most: u64,
    },
    /// Any number.
    Number,
    /// Text.
    Text(Form),
    /// The shape, or null.
    Optional(Box<Shape>),
    /// Any number of it.
    List(Box<Shape>),
    /// Text to the shape.
    Map(Box<Shape>),
    /// These in turn.
    Tuple(Vec<Shape>),
    /// A type of [`Types`].
    Named(&'static str),
}

/// What a named type is.
#[derive(Clone, Debug, PartialEq)]
pub enum Named {
    /// Fields in order.
    Fields(Vec<(&'static str, Shape)>),
    /// One of these texts.
    OneOf(&'static [&'static str]),
}

/// Named types that were met.
#[derive(Debug, Default)]
pub struct Types(pub BTreeMap<&'static str, Named>);

impl Types {
    /// The shape of a type; its named parts are added.
    ///
    /// # Errors
    /// What of the type has no shape here.
    pub fn add<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Shape, String> {
        let mut seen = Seen::default();
        let mut shape = Shape::Flag;
        loop {
            seen.place = 0;
            let Err(error) = T::deserialize(Ask(&mut seen, &mut shape)) else { break };
            // The text that was given last was not taken: another form there.
            let last = seen.place.checked_sub(1).filter(|last| seen.forms[*last] + 1 < FORMS.len());
            let last = last.ok_or_else(|| format!("{}: {error}", std::any::type_name::<T>()))?;
            seen.forms[last] += 1;
            seen.forms.truncate(last + 1);
        }
        self.0.append(&mut seen.types);
        Ok(shape)
    }
}

/// What was seen: types by name, and the choice of form at each text in the order of asking.
#[derive(Default)]
struct Seen {
    types: BTreeMap<&'static str, Named>,
    forms: Vec<usize>,
    place: usize,
}

/// Asked for one value; leaves its shape in `1`.
struct Ask<'a>(&'a mut Seen, &'a mut Shape);

macro_rules! plain {
    ($($method:ident $visit:ident $value:expr, $shape:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            *self.1 = $shape;
            visitor.$visit($value)
        }
    )*};
}

macro_rules! never {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            shapeless(stringify!($method))
        }
    )*};
}

fn shapeless<T>(what: &str) -> Result<T, Error> {
    Err(serde::de::Error::custom(format!("a document with {what} has no shape")))
}

impl<'de> serde::Deserializer<'de> for Ask<'_> {
    type Error = Error;

    plain! {
        deserialize_bool visit_bool false, Shape::Flag;
        deserialize_u8 visit_u8 0, Shape::Whole { least: 0, most: u8::MAX.into() };
        deserialize_u16 visit_u16 0, Shape::Whole { least: 0, most: u16::MAX.into() };
        deserialize_u32 visit_u32 0, Shape::Whole { least: 0, most: u32::MAX.into() };
        deserialize_u64 visit_u64 0, Shape::Whole { least: 0, most: u64::MAX };
        deserialize_i32 visit_i32 0, Shape::Whole { least: i32::MIN.into(), most: i32::MAX as u64 };
        deserialize_i64 visit_i64 0, Shape::Whole { least: i64::MIN, most: i64::MAX as u64 };
        deserialize_f64 visit_f64 0.0, Shape::Number;
    }
    never! {
        deserialize_any deserialize_i8 deserialize_i16 deserialize_f32 deserialize_char deserialize_bytes deserialize_byte_buf
        deserialize_unit deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let place = self.0.place;
        self.0.place += 1;
        if self.0.forms.len() == place {
            self.0.forms.push(0);
        }
        let form = FORMS[self.0.forms[place]];
        *self.1 = Shape::Text(form);
        visitor.visit_string(form.example())
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut of = Shape::Flag;
        let value = visitor.visit_some(Ask(self.0, &mut of))?;
        *self.1 = Shape::Optional(Box::new(of));
        Ok(value)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut all = Vec::new();
        let value = visitor.visit_seq(Items { seen: self.0, left: 1, all: &mut all })?;
        *self.1 = Shape::List(Box::new(all.pop().unwrap_or(Shape::Flag)));
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, left: usize, visitor: V) -> Result<V::Value, Error> {
        let mut all = Vec::new();
        let value = visitor.visit_seq(Items { seen: self.0, left, all: &mut all })?;
        *self.1 = Shape::Tuple(all);
        Ok(value)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut of = Shape::Flag;
        let value = visitor.visit_map(OneEntry { seen: self.0, asked: false, of: &mut of })?;
        *self.1 = Shape::Map(Box::new(of));
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut found = Vec::new();
        let value = visitor.visit_map(Fields { seen: self.0, fields, found: &mut found })?;
        self.0.types.insert(name, Named::Fields(found));
        *self.1 = Shape::Named(name);
        Ok(value)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.types.insert(name, Named::OneOf(variants));
        *self.1 = Shape::Named(name);
        visitor.visit_enum(First(variants[0]))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, _: V) -> Result<V::Value, Error> {
        shapeless("a unit struct")
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(left, visitor)
    }
}

struct Items<'a> {
    seen: &'a mut Seen,
    left: usize,
    all: &'a mut Vec<Shape>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let mut of = Shape::Flag;
        let value = seed.deserialize(Ask(self.seen, &mut of))?;
        self.all.push(of);
        Ok(Some(value))
    }
}

struct OneEntry<'a> {
    seen: &'a mut Seen,
    asked: bool,
    of: &'a mut Shape,
}

impl<'de> MapAccess<'de> for OneEntry<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if std::mem::replace(&mut self.asked, true) {
            return Ok(None);
        }
        seed.deserialize(Ask(self.seen, &mut Shape::Flag)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(Ask(self.seen, self.of))
    }
}

struct Fields<'a> {
    seen: &'a mut Seen,
    fields: &'static [&'static str],
    found: &'a mut Vec<(&'static str, Shape)>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(field) = self.fields.first() else { return Ok(None) };
        let name: StrDeserializer<'static, Error> = (*field).into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let Some((field, rest)) = self.fields.split_first() else {
            return shapeless("a value without a key");
        };
        self.fields = rest;
        let mut of = Shape::Flag;
        let value = seed.deserialize(Ask(self.seen, &mut of))?;
        self.found.push((field, of));
        Ok(value)
    }
}

/// The first variant, which must have no content.
struct First(&'static str);

impl<'de> EnumAccess<'de> for First {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Error> {
        let name: StrDeserializer<'static, Error> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for First {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Error> {
        shapeless("an enum with content")
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        shapeless("an enum with content")
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Error> {
        shapeless("an enum with content")
    }
}
