//! The vocabulary of the tables: one function for each kind of field, and what can be said of it besides.

use async_graphql::{InputType, Name, OutputType, Value, resolver_utils::EnumType};

use super::{
    Answer, Answerer, Field, Finder, Read, TypeInfo,
    arguments::{Arg, FilterRule},
    connection::{Connection, Item},
    list::{answer_list, answer_whole_list},
    load::{answer_find, answer_reference, answer_references},
    many::Many,
    object::FromView,
    row::{Kind, Row, answer_record, answer_records},
};
use crate::{
    cost::ListSize,
    enums::{ProviderEnum, UNKNOWN},
    scalars::{Date, Time, WebUrl, is_of_the_web},
    view::NodeView,
};

/// The cost of a field for which the provider looks something up.
const LOOK_UP: u32 = 10;

/// How a value is come by that types of one interface derive differently.
#[derive(Debug, Clone, Copy)]
pub struct Derive {
    /// From the body.
    pub read: Read,
    /// Body keys without which it cannot be read.
    pub needs: &'static [&'static str],
    /// Body keys that make it better.
    pub asks: &'static [&'static str],
}

impl Derive {
    /// From these keys.
    pub const fn new(read: Read, needs: &'static [&'static str]) -> Self {
        Self { read, needs, asks: &[] }
    }
}

impl Field {
    const fn new(name: &'static str, doc: &'static str, ty: TypeInfo, answer: Answer) -> Self {
        Self {
            name,
            doc,
            ty,
            nullable: true,
            key: None,
            needs: &[],
            asks: &[],
            args: &[],
            list: None,
            size: None,
            weight: 1,
            find: None,
            is_unknown: None,
            is_word: false,
            answer,
        }
    }

    const fn stored(
        name: &'static str,
        doc: &'static str,
        ty: TypeInfo,
        read: fn(&NodeView, &str) -> Option<Value>,
    ) -> Self {
        Self { key: Some(name), ..Self::new(name, doc, ty, Answer::Key(read)) }
    }

    /// A text.
    pub const fn text(name: &'static str, doc: &'static str) -> Self {
        Self::stored(name, doc, <String as OutputType>::create_type_info, |view, key| view.text(key).map(Value::from))
    }

    /// An integer.
    pub const fn int(name: &'static str, doc: &'static str) -> Self {
        Self::stored(name, doc, <i32 as OutputType>::create_type_info, |view, key| view.int(key).map(Value::from))
    }

    /// A flag.
    pub const fn flag(name: &'static str, doc: &'static str) -> Self {
        Self::stored(name, doc, <bool as OutputType>::create_type_info, |view, key| view.flag(key).map(Value::from))
    }

    /// A time.
    pub const fn time(name: &'static str, doc: &'static str) -> Self {
        Self::stored(name, doc, <Time as OutputType>::create_type_info, |view, key| {
            view.time(key).map(|time| Value::from(Time(time).text()))
        })
    }

    /// A day.
    pub const fn date(name: &'static str, doc: &'static str) -> Self {
        Self::stored(name, doc, <Date as OutputType>::create_type_info, |view, key| {
            view.date(key).map(|date| Value::from(date.to_string()))
        })
    }

    /// An address of the web. Anything else that a provider passes on (`javascript:alert(1)`, a name without a scheme) is as if absent:
    /// clients make links of it.
    pub const fn url(name: &'static str, doc: &'static str) -> Self {
        Self::stored(name, doc, <WebUrl as OutputType>::create_type_info, |view, key| {
            view.text(key).filter(|text| is_of_the_web(text)).map(Value::from)
        })
    }

    /// A value of an enum. A word that this version does not know is `UNKNOWN`.
    pub const fn value<E: EnumType + OutputType + ProviderEnum>(name: &'static str, doc: &'static str) -> Self {
        let field = Self::stored(name, doc, <E as OutputType>::create_type_info, |view, key| {
            let text = view.get(key)?.as_str()?;
            let known = E::from_str(text).is_ok();
            Some(Value::Enum(Name::new(if known { text } else { UNKNOWN })))
        });
        Self { is_word: true, ..field }
    }

    /// A value that is derived from the body.
    pub const fn derived<T: OutputType>(name: &'static str, doc: &'static str, derive: Derive) -> Self {
        let field = Self::new(name, doc, <T as OutputType>::create_type_info, Answer::Derived(derive.read));
        Self { needs: derive.needs, asks: derive.asks, ..field }
    }

    /// The node that a reference names.
    pub const fn node<T: FromView>(name: &'static str, doc: &'static str) -> Self {
        let answer = Answer::Ask(answer_reference::<T>);
        Self { key: Some(name), ..Self::new(name, doc, <T as OutputType>::create_type_info, answer) }
    }

    /// The nodes that references name, usually so many; those that are gone are left out.
    pub const fn nodes<T: FromView>(name: &'static str, doc: &'static str, usual: u32) -> Self {
        let answer = Answer::Ask(answer_references::<T>);
        let size = Some(ListSize::Items(usual));
        Self { key: Some(name), size, ..Self::new(name, doc, <Many<T> as OutputType>::create_type_info, answer) }
    }

    /// Values inside the node, usually so many.
    pub const fn records<K: Kind>(name: &'static str, doc: &'static str, usual: u32) -> Self {
        let answer = Answer::Ask(answer_records::<K>);
        let size = Some(ListSize::Items(usual));
        Self { key: Some(name), size, ..Self::new(name, doc, <Many<Row<K>> as OutputType>::create_type_info, answer) }
    }

    /// Values of the node's own body, shown as an object; null while the first of `needs` is unknown.
    pub const fn record<K: Kind>(name: &'static str, doc: &'static str, needs: &'static [&'static str]) -> Self {
        let answer = Answer::Ask(answer_record::<K>);
        Self { needs, ..Self::new(name, doc, <Row<K> as OutputType>::create_type_info, answer) }
    }

    /// A list that is paged through. Its name at the engine is the field's.
    pub const fn list<T: FromView + Item>(name: &'static str, doc: &'static str) -> Self {
        let answer = Answer::Ask(answer_list::<T>);
        let field = Self::new(name, doc, <Connection<T> as OutputType>::create_type_info, answer);
        Self { list: Some(name), args: PAGE, size: Some(ListSize::Page), ..field }
    }

    /// A short list that is given whole, usually so long.
    pub const fn whole_list<T: FromView>(name: &'static str, doc: &'static str, usual: u32) -> Self {
        let answer = Answer::Ask(answer_whole_list::<T>);
        Self {
            list: Some(name),
            size: Some(ListSize::Items(usual)),
            ..Self::new(name, doc, <Many<T> as OutputType>::create_type_info, answer)
        }
    }

    /// Something that is found by a name: as a rule, the provider is asked.
    pub const fn find<T: FromView>(name: &'static str, doc: &'static str, find: Finder) -> Self {
        let answer = Answer::Ask(answer_find::<T>);
        Self { find: Some(find), weight: LOOK_UP, ..Self::new(name, doc, <T as OutputType>::create_type_info, answer) }
    }

    /// A field of our own making.
    pub(crate) const fn ask(name: &'static str, doc: &'static str, ty: TypeInfo, answer: Answerer) -> Self {
        Self::new(name, doc, ty, Answer::Ask(answer))
    }

    /// It is derived from a word that may be unknown to this version.
    #[must_use]
    pub const fn unknown_if(self, is_unknown: fn(&NodeView) -> bool) -> Self {
        Self { is_unknown: Some(is_unknown), is_word: true, ..self }
    }

    /// It is never null: its keys belong into the type's `always`.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { nullable: false, ..self }
    }

    /// It lies under another body key than its own name.
    #[must_use]
    pub const fn key(self, key: &'static str) -> Self {
        Self { key: Some(key), ..self }
    }

    /// It takes these arguments.
    #[must_use]
    pub const fn args(self, args: &'static [Arg]) -> Self {
        Self { args, ..self }
    }
}

/// The arguments of every list.
pub(super) const PAGE: &[Arg] = &[FIRST, AFTER];

/// How many.
pub const FIRST: Arg =
    Arg::new::<Option<i32>>("first", "How many to return: 1 to 100, 20 if left out.", FilterRule::None);

/// After what.
pub const AFTER: Arg = Arg::new::<Option<String>>("after", "Return what comes after this cursor.", FilterRule::None);

impl Arg {
    /// An argument.
    pub const fn new<T: InputType>(name: &'static str, doc: &'static str, rule: FilterRule) -> Self {
        Self { name, doc, ty: <T as InputType>::create_type_info, rule }
    }

    /// An argument that narrows a list by a condition of its own name.
    pub const fn filter<T: InputType>(name: &'static str, doc: &'static str) -> Self {
        Self::new::<T>(name, doc, FilterRule::Named(name))
    }

    /// An argument that something is looked up by.
    pub const fn lookup<T: InputType>(name: &'static str, doc: &'static str) -> Self {
        Self::new::<T>(name, doc, FilterRule::None)
    }
}
