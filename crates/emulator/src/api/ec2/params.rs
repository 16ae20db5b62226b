//! A request's parameters, with a record of which were read.
//!
//! The Query protocol flattens structures and lists into dotted names (`Filter.1.Value.2`). An action reads what it
//! knows; whatever is left unread afterwards is refused, so no parameter can be accepted and ignored.

use crate::api::error::ApiError;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// All parameters of a request.
pub struct Params {
    values: BTreeMap<String, String>,
    read: RefCell<BTreeSet<String>>,
}

/// The parameters below a prefix, such as `NetworkInterface.1`.
#[derive(Clone)]
pub struct Scope<'a> {
    params: &'a Params,
    prefix: String,
}

impl Params {
    /// Wraps the decoded form. A name that is given twice keeps its last value, as in EC2.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            values: pairs.into_iter().collect(),
            read: RefCell::default(),
        }
    }

    /// Everything, at the top.
    pub fn top(&self) -> Scope<'_> {
        Scope {
            params: self,
            prefix: String::new(),
        }
    }

    /// All of them, for whoever does not carry the request out: nothing counts as read.
    pub fn all(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    /// Refuses the request if it holds a parameter that nothing read.
    ///
    /// # Errors
    /// `UnknownParameter` for the first of them.
    pub fn finish(&self) -> Result<(), ApiError> {
        let read = self.read.borrow();
        match self.values.keys().find(|name| !read.contains(*name)) {
            Some(name) => Err(ApiError::unknown_parameter(name)),
            None => Ok(()),
        }
    }

    /// The parameters as one text, for comparing two requests; `without` are left out.
    pub fn fingerprint(&self, without: &[&str]) -> String {
        let mut text = form_urlencoded::Serializer::new(String::new());
        for (name, value) in self
            .values
            .iter()
            .filter(|(name, _)| !without.contains(&name.as_str()))
        {
            text.append_pair(name, value);
        }
        text.finish()
    }
}

impl<'a> Scope<'a> {
    /// The full name of a parameter below this prefix, for messages.
    pub fn name(&self, name: &str) -> String {
        match (self.prefix.is_empty(), name.is_empty()) {
            (true, _) => name.to_owned(),
            (_, true) => self.prefix.clone(),
            _ => format!("{}.{name}", self.prefix),
        }
    }

    /// The whole request as one text, for comparing it with another; `without` are left out.
    pub fn fingerprint(&self, without: &[&str]) -> String {
        self.params.fingerprint(without)
    }

    /// A text, if given.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        let full = self.name(name);
        let value = self.params.values.get(&full)?;
        self.params.read.borrow_mut().insert(full);
        Some(value)
    }

    /// A text that must be given and not be empty.
    ///
    /// # Errors
    /// `MissingParameter`.
    pub fn required(&self, name: &str) -> Result<&'a str, ApiError> {
        self.text(name)
            .filter(|v| !v.is_empty())
            .ok_or_else(|| ApiError::missing(&self.name(name)))
    }

    /// `true` or `false`, if given.
    ///
    /// # Errors
    /// `InvalidParameterValue` for anything else.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.text(name) {
            None => Ok(None),
            Some(v) if v.eq_ignore_ascii_case("true") || v == "1" => Ok(Some(true)),
            Some(v) if v.eq_ignore_ascii_case("false") || v == "0" => Ok(Some(false)),
            Some(v) => Err(ApiError::new(
                "InvalidParameterValue",
                format!(
                    "Invalid value '{v}' for {}: expected a boolean",
                    self.name(name)
                ),
            )),
        }
    }

    /// A number, if given.
    ///
    /// # Errors
    /// `InvalidParameterValue` if it is none.
    pub fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        match self.text(name) {
            None => Ok(None),
            Some(v) => v.parse().map(Some).map_err(|_| {
                ApiError::invalid_value(
                    &self.name(name),
                    v,
                    "Expected a number within the parameter's range.",
                )
            }),
        }
    }

    /// One of the words in `allowed`, if given.
    ///
    /// # Errors
    /// `InvalidParameterValue` naming the words.
    pub fn word(
        &self,
        name: &str,
        allowed: &[&'static str],
    ) -> Result<Option<&'static str>, ApiError> {
        match self.text(name) {
            None => Ok(None),
            Some(v) => allowed
                .iter()
                .find(|a| **a == v)
                .copied()
                .map(Some)
                .ok_or_else(|| {
                    ApiError::invalid_value(
                        &self.name(name),
                        v,
                        &format!("Expected one of: {}.", allowed.join(", ")),
                    )
                }),
        }
    }

    /// A structure.
    pub fn inside(&self, name: &str) -> Scope<'a> {
        Scope {
            params: self.params,
            prefix: self.name(name),
        }
    }

    /// Whether any parameter starts with this prefix.
    pub fn given(&self) -> bool {
        let below = format!("{}.", self.prefix);
        self.params.values.contains_key(&self.prefix)
            || self
                .params
                .values
                .range(below.clone()..)
                .next()
                .is_some_and(|(k, _)| k.starts_with(&below))
    }

    /// The members of a list, in the order of their numbers.
    pub fn each(&self, name: &str) -> Vec<Scope<'a>> {
        let below = format!("{}.", self.name(name));
        let mut numbers = BTreeSet::new();
        for key in self
            .params
            .values
            .range(below.clone()..)
            .map(|(k, _)| k)
            .take_while(|k| k.starts_with(&below))
        {
            let rest = key.get(below.len()..).unwrap_or_default();
            if let Ok(number) = rest.split('.').next().unwrap_or_default().parse::<u32>() {
                numbers.insert(number);
            }
        }
        numbers
            .into_iter()
            .map(|n| Scope {
                params: self.params,
                prefix: format!("{below}{n}"),
            })
            .collect()
    }

    /// A list of texts.
    pub fn texts(&self, name: &str) -> Vec<&'a str> {
        self.each(name)
            .iter()
            .filter_map(|member| member.text(""))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params::new(
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
        )
    }

    #[test]
    fn structures_and_lists() {
        let p = params(&[
            ("Filter.2.Name", "b"),
            ("Filter.10.Name", "c"),
            ("Filter.1.Name", "a"),
            ("Filter.1.Value.1", "x"),
        ]);
        let filters = p.top().each("Filter");
        let names: Vec<_> = filters.iter().map(|f| f.text("Name").unwrap()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(filters[0].texts("Value"), ["x"]);
        p.finish().unwrap();
    }

    #[test]
    fn what_nobody_read_is_refused() {
        let p = params(&[("ImageId", "ami-1"), ("Colour", "red")]);
        assert_eq!(p.top().text("ImageId"), Some("ami-1"));
        let refused = p.finish().unwrap_err();
        assert_eq!(
            (refused.code(), refused.message()),
            ("UnknownParameter", "The parameter Colour is not recognized")
        );
    }

    #[test]
    fn words_flags_and_numbers() {
        let p = params(&[("T", "gp3"), ("F", "True"), ("N", "x")]);
        assert_eq!(p.top().word("T", &["gp2", "gp3"]).unwrap(), Some("gp3"));
        assert_eq!(p.top().flag("F").unwrap(), Some(true));
        assert_eq!(
            p.top().number::<u32>("N").unwrap_err().code(),
            "InvalidParameterValue"
        );
        assert_eq!(
            p.top().required("Z").unwrap_err().code(),
            "MissingParameter"
        );
    }

    proptest! {
        #[test]
        fn any_form_is_read_without_panic(pairs in proptest::collection::vec(("[A-Z.0-9]{0,12}", ".{0,8}"), 0..12)) {
            let p = Params::new(pairs);
            for scope in p.top().each("A") {
                let _ = (scope.texts("B"), scope.inside("C").given(), scope.flag("D"));
            }
            let _ = (p.finish(), p.fingerprint(&[]));
        }
    }
}
