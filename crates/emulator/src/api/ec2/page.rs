//! Answers in pages, see <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html#api-pagination>.

use super::params::Scope;
use super::xml::Xml;
use crate::api::error::ApiError;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};

/// The page that a request asks for.
#[derive(Clone, Debug, Default)]
pub struct Page {
    most: Option<usize>,
    after: Option<String>,
}

impl Page {
    /// Reads `MaxResults` (`least` to 1000) and `NextToken`.
    ///
    /// # Errors
    /// `InvalidParameterValue` for a number outside the range, `InvalidNextToken` for a token not made here.
    pub fn parse(p: &Scope<'_>, least: usize) -> Result<Self, ApiError> {
        let most: Option<usize> = p.number("MaxResults")?;
        if let Some(most) = most.filter(|m| !(least..=1000).contains(m)) {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!(
                    "Value ( {most} ) for parameter maxResults is invalid. Expecting a value between {least} and 1000."
                ),
            ));
        }
        let after = match p.text("NextToken").filter(|t| !t.is_empty()) {
            None => None,
            Some(token) => Some(read_token(token).ok_or_else(|| {
                ApiError::new(
                    "InvalidNextToken",
                    format!("The token '{token}' is invalid"),
                )
            })?),
        };
        Ok(Self { most, after })
    }

    /// EC2 refuses `MaxResults` together with ids.
    ///
    /// # Errors
    /// `InvalidParameterCombination`.
    pub fn excludes_ids(&self, parameter: &str, ids: usize) -> Result<(), ApiError> {
        if ids > 0 && (self.most.is_some() || self.after.is_some()) {
            return Err(ApiError::combination(format!(
                "The parameter {parameter} cannot be used with the parameter maxResults"
            )));
        }
        Ok(())
    }

    /// The page's part of `items`, which are sorted by `key` first, and the token of the next page. A token names the last
    /// item of its page, so items that come and go between pages make no other item be missed or seen twice.
    pub fn cut<T>(
        &self,
        mut items: Vec<T>,
        key: impl Fn(&T) -> String,
    ) -> (Vec<T>, Option<String>) {
        items.sort_by_key(&key);
        if let Some(after) = &self.after {
            items.retain(|item| key(item) > *after);
        }
        let more = self.most.is_some_and(|most| items.len() > most);
        if let Some(most) = self.most {
            items.truncate(most);
        }
        let token = items
            .last()
            .filter(|_| more)
            .map(|last| BASE64_URL_SAFE_NO_PAD.encode(format!("after {}", key(last))));
        (items, token)
    }
}

/// Writes the token of the next page.
pub fn write_token(x: &mut Xml, token: Option<String>) {
    x.maybe("nextToken", token);
}

fn read_token(token: &str) -> Option<String> {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    text.strip_prefix("after ").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::params::Params;
    use super::*;
    use proptest::prelude::*;

    fn page(most: &str, token: Option<&str>) -> Result<Page, ApiError> {
        let mut pairs = vec![("MaxResults".to_owned(), most.to_owned())];
        pairs.extend(token.map(|t| ("NextToken".to_owned(), t.to_owned())));
        Page::parse(&Params::new(pairs).top(), 5)
    }

    #[test]
    fn limits() {
        assert!(page("5", None).is_ok());
        for bad in ["4", "1001", "x", "-1"] {
            assert_eq!(
                page(bad, None).unwrap_err().code(),
                "InvalidParameterValue",
                "{bad}"
            );
        }
        assert_eq!(
            page("5", Some("made up")).unwrap_err().code(),
            "InvalidNextToken"
        );
    }

    proptest! {
        #[test]
        fn pages_hold_each_item_once(items in proptest::collection::btree_set("[a-z]{1,3}", 0..40), most in 5usize..9) {
            let all: Vec<String> = items.into_iter().collect();
            let (mut seen, mut token) = (Vec::new(), None);
            loop {
                let page = page(&most.to_string(), token.as_deref()).unwrap();
                let (part, next) = page.cut(all.clone(), Clone::clone);
                prop_assert!(part.len() <= most);
                seen.extend(part);
                if next.is_none() { break; }
                token = next;
            }
            prop_assert_eq!(seen, all);
        }
    }
}
