//! Inputs for dashboards and widgets.

use async_graphql::{ID, InputObject, MaybeUndefined};

use super::{
    check::{slug, slug_like, text, title},
    source::WidgetSourceInput,
};
use crate::{
    error::PortError,
    ports::{Change, DashboardChanges, Layout, NewDashboard, NewSlug, WidgetChanges},
    scalars::Time,
};

/// How many columns a grid may have.
const MAX_COLUMNS: i32 = 24;
/// How many it has where nobody says.
const DEFAULT_COLUMNS: i32 = 12;
/// How far down and how high a widget may be.
pub const MAX_ROWS: i32 = 10_000;

/// A dashboard to create.
#[derive(Debug, Clone, InputObject)]
pub struct CreateDashboardInput {
    /// Its name: 1 to 200 characters.
    pub name: String,
    /// Its name in addresses: lower-case letters, digits and dashes. Left out: made from the name.
    pub slug: Option<String>,
    /// The purpose of the dashboard.
    pub description: Option<String>,
    /// How many columns its grid has: 1 to 24.
    #[graphql(default_with = "Some(DEFAULT_COLUMNS)")]
    pub columns: Option<i32>,
}

/// A change of a dashboard. Fields that are left out stay as they are; null clears a description.
#[derive(Debug, Clone, InputObject)]
pub struct UpdateDashboardInput {
    /// Which.
    pub id: ID,
    /// New name.
    pub name: MaybeUndefined<String>,
    /// New name in addresses.
    pub slug: MaybeUndefined<String>,
    /// New description; null removes it.
    pub description: MaybeUndefined<String>,
    /// New number of columns; all widgets must fit.
    pub columns: MaybeUndefined<i32>,
    /// The `updatedAt` you last saw: if somebody changed it since, nothing happens and the error is CONFLICT.
    pub expected_updated_at: Option<Time>,
}

/// A rectangle on a dashboard's grid.
#[derive(Debug, Clone, InputObject)]
pub struct WidgetLayoutInput {
    /// First column, from 0.
    pub x: i32,
    /// First row, from 0.
    pub y: i32,
    /// Columns, at least 1.
    pub width: i32,
    /// Rows, at least 1.
    pub height: i32,
}

/// Where a widget is moved to.
#[derive(Debug, Clone, InputObject)]
pub struct MoveWidgetInput {
    /// Which.
    pub widget_id: ID,
    /// Where to.
    pub layout: WidgetLayoutInput,
}

/// A widget to add.
#[derive(Debug, Clone, InputObject)]
pub struct AddWidgetInput {
    /// To which dashboard.
    pub dashboard_id: ID,
    /// Its title: 1 to 200 characters.
    pub title: String,
    /// Where it stands. Left out: below the others.
    pub layout: Option<WidgetLayoutInput>,
    /// The things that it shows.
    pub source: WidgetSourceInput,
}

/// A change of a widget. Fields that are left out stay as they are.
#[derive(Debug, Clone, InputObject)]
pub struct UpdateWidgetInput {
    /// Which.
    pub id: ID,
    /// New title.
    pub title: MaybeUndefined<String>,
    /// The things that it shows from now on; a widget keeps its kind.
    pub source: MaybeUndefined<WidgetSourceInput>,
    /// The `updatedAt` you last saw: if somebody changed it since, nothing happens and the error is CONFLICT.
    pub expected_updated_at: Option<Time>,
}

/// A value that must not be cleared.
pub fn kept<T>(field: &str, value: MaybeUndefined<T>) -> Result<Option<T>, PortError> {
    match value {
        MaybeUndefined::Undefined => Ok(None),
        MaybeUndefined::Null => Err(PortError::bad_input(format!("{field}: cannot be null"))),
        MaybeUndefined::Value(value) => Ok(Some(value)),
    }
}

fn columns(field: &str, columns: i32) -> Result<i32, PortError> {
    if (1..=MAX_COLUMNS).contains(&columns) {
        return Ok(columns);
    }
    Err(PortError::bad_input(format!("{field}: must be from 1 to {MAX_COLUMNS}, not {columns}")))
}

impl CreateDashboardInput {
    /// Checks the input.
    pub fn check(self) -> Result<NewDashboard, PortError> {
        let name = title("input.name", &self.name)?;
        let slug = match self.slug {
            Some(given) => NewSlug::Exact(slug("input.slug", &given)?),
            None => NewSlug::Like(slug_like(&name)),
        };
        let description = match self.description {
            Some(given) => text("input.description", &given)?,
            None => None,
        };
        Ok(NewDashboard {
            name,
            slug,
            description,
            columns: columns("input.columns", self.columns.unwrap_or(DEFAULT_COLUMNS))?,
        })
    }
}

impl UpdateDashboardInput {
    /// Checks the input, but for its id.
    pub fn check(self) -> Result<DashboardChanges, PortError> {
        let name = kept("input.name", self.name)?;
        let new_slug = kept("input.slug", self.slug)?;
        let new_columns = kept("input.columns", self.columns)?;
        let description = match self.description {
            MaybeUndefined::Undefined => Change::Keep,
            MaybeUndefined::Null => Change::Clear,
            MaybeUndefined::Value(given) => text("input.description", &given)?.map_or(Change::Clear, Change::Set),
        };
        Ok(DashboardChanges {
            name: name.map(|name| title("input.name", &name)).transpose()?,
            slug: new_slug.map(|given| slug("input.slug", &given)).transpose()?,
            description,
            columns: new_columns.map(|given| columns("input.columns", given)).transpose()?,
            expected_updated_at: self.expected_updated_at.map(|time| time.0),
        })
    }
}

impl UpdateWidgetInput {
    /// Checks the input, but for its id.
    pub fn check(self) -> Result<WidgetChanges, PortError> {
        let new_title = kept("input.title", self.title)?;
        let source = kept("input.source", self.source)?;
        Ok(WidgetChanges {
            title: new_title.map(|given| title("input.title", &given)).transpose()?,
            source: source.map(|source| source.check("input.source")).transpose()?,
            expected_updated_at: self.expected_updated_at.map(|time| time.0),
        })
    }
}

impl WidgetLayoutInput {
    /// Checks that it lies on a grid of so many columns.
    pub fn check(&self, path: &str, columns: i32) -> Result<Layout, PortError> {
        let bad = |field: &str, problem: String| Err(PortError::bad_input(format!("{path}.{field}: {problem}")));
        if !(0..columns).contains(&self.x) {
            return bad("x", format!("must be from 0 to {}", columns - 1));
        }
        if !(0..=MAX_ROWS).contains(&self.y) {
            return bad("y", format!("must be from 0 to {MAX_ROWS}"));
        }
        if !(1..=columns - self.x).contains(&self.width) {
            return bad("width", format!("must be from 1 to {} there", columns - self.x));
        }
        if !(1..=MAX_ROWS).contains(&self.height) {
            return bad("height", format!("must be from 1 to {MAX_ROWS}"));
        }
        Ok(Layout { x: self.x, y: self.y, width: self.width, height: self.height })
    }
}

#[cfg(test)]
mod tests {
    use super::WidgetLayoutInput;

    #[test]
    fn layouts_must_lie_on_the_grid() {
        for (x, y, width, height, wrong) in [
            (0, 0, 12, 1, None),
            (11, 5, 1, 3, None),
            (-1, 0, 1, 1, Some("x")),
            (12, 0, 1, 1, Some("x")),
            (0, -1, 1, 1, Some("y")),
            (0, i32::MAX, 1, 1, Some("y")),
            (6, 0, 7, 1, Some("width")),
            (0, 0, 0, 1, Some("width")),
            (0, 0, 1, 0, Some("height")),
            (0, 0, i32::MAX, 1, Some("width")),
        ] {
            let checked = WidgetLayoutInput { x, y, width, height }.check("layout", 12);
            let named = checked.err().map(|error| error.message.split(':').next().unwrap_or_default().to_owned());
            assert_eq!(named, wrong.map(|field| format!("layout.{field}")), "{x} {y} {width} {height}");
        }
    }
}
