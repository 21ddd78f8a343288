//! The page's types, written from the documents' own `Deserialize`: what the API says, said once.
//!
//! [`Shape`] is a deserializer without any data. It hands every type the fields that it asks for, notes what they were
//! asked as, and makes up a value; where a text must have a form (a hash, a device), candidates are tried in turn.
//! `BLESS=1 cargo test -p proofmesh types_vectors` (or `cargo xtask bless`) rewrites `dashboard/src/api.ts`.

use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use serde::de::{
    DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use std::collections::BTreeMap;
use std::path::Path;

/// Texts that the documents' types take.
const TEXTS: [&str; 5] = [
    "text",
    "0x",
    "0x0000000000000000000000000000000000000000",
    "0x0000000000000000000000000000000000000000000000000000000000000000",
    "did:key:z6MkeTG3bFFSLYVU7VqhgZxqr6YzpaGrQtFMh1uvqGy1vDnP",
];

/// What was seen: interfaces by name, and the choice of text at each place in the order of asking.
#[derive(Default)]
struct Seen {
    types: BTreeMap<String, String>,
    texts: Vec<usize>,
    place: usize,
}

/// Asked for one value; leaves its TypeScript in `0`.
struct Shape<'a>(&'a mut Seen, &'a mut String);

macro_rules! plain {
    ($($method:ident $visit:ident $value:expr, $name:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            $name.clone_into(self.1);
            visitor.$visit($value)
        }
    )*};
}

macro_rules! never {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            unimplemented_shape(stringify!($method))
        }
    )*};
}

fn unimplemented_shape<T>(method: &str) -> Result<T, Error> {
    Err(serde::de::Error::custom(format!("a document with {method} has no type for the page")))
}

impl<'de> serde::Deserializer<'de> for Shape<'_> {
    type Error = Error;

    plain! {
        deserialize_bool visit_bool false, "boolean";
        deserialize_u8 visit_u8 0, "number";
        deserialize_u16 visit_u16 0, "number";
        deserialize_u32 visit_u32 0, "number";
        deserialize_u64 visit_u64 0, "number";
        deserialize_i32 visit_i32 0, "number";
        deserialize_i64 visit_i64 0, "number";
        deserialize_f64 visit_f64 0.0, "number";
    }
    never! {
        deserialize_any deserialize_i8 deserialize_i16 deserialize_f32 deserialize_char deserialize_bytes deserialize_byte_buf
        deserialize_unit deserialize_map deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        "string".clone_into(self.1);
        let place = self.0.place;
        self.0.place += 1;
        if self.0.texts.len() == place {
            self.0.texts.push(0);
        }
        visitor.visit_string(TEXTS[self.0.texts[place]].to_owned())
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = visitor.visit_some(Shape(&mut *self.0, &mut *self.1))?;
        self.1.push_str(" | null");
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
        let mut of = String::new();
        let value = visitor.visit_seq(Items { seen: self.0, left: 1, of: &mut of, all: &mut Vec::new() })?;
        *self.1 =
            if of.contains(' ') && !of.starts_with('[') { format!("({of})[]") } else { format!("{of}[]") };
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, left: usize, visitor: V) -> Result<V::Value, Error> {
        let mut all = Vec::new();
        let value = visitor.visit_seq(Items { seen: self.0, left, of: &mut String::new(), all: &mut all })?;
        *self.1 = format!("[{}]", all.join(", "));
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut body = String::new();
        let value = visitor.visit_map(Fields { seen: self.0, fields, body: &mut body })?;
        name.clone_into(self.1);
        self.0.types.insert(name.to_owned(), format!("export interface {name} {{\n{body}}}\n"));
        Ok(value)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let union = variants.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(" | ");
        self.0.types.insert(name.to_owned(), format!("export type {name} = {union};\n"));
        name.clone_into(self.1);
        visitor.visit_enum(First(variants[0]))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, _: V) -> Result<V::Value, Error> {
        unimplemented_shape("a unit struct")
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
    of: &'a mut String,
    all: &'a mut Vec<String>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let value = seed.deserialize(Shape(self.seen, self.of))?;
        self.all.push(self.of.clone());
        Ok(Some(value))
    }
}

struct Fields<'a> {
    seen: &'a mut Seen,
    fields: &'static [&'static str],
    body: &'a mut String,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(field) = self.fields.first() else { return Ok(None) };
        let name: StrDeserializer<'static, Error> = (*field).into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let (field, rest) = self.fields.split_first().expect("a key was given");
        self.fields = rest;
        let mut of = String::new();
        let value = seed.deserialize(Shape(self.seen, &mut of))?;
        self.body.push_str(&format!("  {field}: {of};\n"));
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
        unimplemented_shape("an enum with content")
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        unimplemented_shape("an enum with content")
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Error> {
        unimplemented_shape("an enum with content")
    }
}

/// Adds a document's type and all that are in it.
fn add<T: for<'de> Deserialize<'de>>(types: &mut BTreeMap<String, String>) {
    let mut seen = Seen::default();
    loop {
        seen.place = 0;
        let Err(error) = T::deserialize(Shape(&mut seen, &mut String::new())) else { break };
        // The text that was given last was not taken: another one there.
        let last = seen.place.checked_sub(1).filter(|last| seen.texts[*last] + 1 < TEXTS.len());
        let Some(last) = last else { panic!("{}: {error}", std::any::type_name::<T>()) };
        seen.texts[last] += 1;
        seen.texts.truncate(last + 1);
    }
    types.append(&mut seen.types);
}

#[test]
fn types_vectors_of_the_page_are_what_the_api_says() {
    use proofmesh::wire::overview::{ChainEpochDoc, EconomicsDoc, EpochsDoc, MemberDoc, ModelDoc, NewsDoc};
    use proofmesh::{audit, buyer, fault, out, own, owner, wire};
    let mut types = BTreeMap::new();
    let all: [fn(&mut BTreeMap<String, String>); 27] = [
        add::<wire::StatusDoc>,
        add::<wire::AccountDoc>,
        add::<wire::NodeDoc>,
        add::<wire::JobDoc>,
        add::<wire::ReceiptDoc>,
        add::<wire::ReceiptProofDoc>,
        add::<wire::EpochDoc>,
        add::<wire::BalanceDoc>,
        add::<wire::ClosedDoc>,
        add::<wire::FeedDoc>,
        add::<wire::IdDoc>,
        add::<wire::DoneDoc>,
        add::<wire::PassTimeDoc>,
        add::<MemberDoc>,
        add::<ModelDoc>,
        add::<ChainEpochDoc>,
        add::<EconomicsDoc>,
        add::<EpochsDoc>,
        add::<NewsDoc>,
        add::<own::OwnDoc>,
        add::<own::WantedDoc>,
        add::<own::QuoteDoc>,
        add::<own::BudgetDoc>,
        add::<owner::GrantDoc>,
        add::<buyer::ClaimDoc>,
        add::<fault::Fault>,
        add::<proofmesh_verifier::StatementDoc>,
    ];
    for add in all {
        add(&mut types);
    }
    add::<audit::AuditDoc>(&mut types);
    add::<out::UpDoc>(&mut types);
    let head = "// The API's documents, generated from crates/node by `cargo xtask bless`. Hashes, accounts and bytes are\n\
                // 0x text, devices did:key:, money is micro-USD, times are Unix seconds.\n\n";
    let text = format!("{head}{}", types.into_values().collect::<Vec<_>>().join("\n"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dashboard/src/api.ts");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &text).expect("written");
    }
    let found = std::fs::read_to_string(&path).expect("dashboard/src/api.ts");
    assert_eq!(found, text, "the API changed: `cargo xtask bless`, and read the diff");
}
