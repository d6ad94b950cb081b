package pages

import (
	"fmt"
	"net/url"
	"slices"

	"countersign/fapi/rar/display"
)

// detailView is one object of authorization_details (RFC 9396), with all its values.
type detailView struct {
	Heading display.Sentence
	Groups  []groupView
}

// groupView is what is read together. Sees is a list that the group is named after, so that its name is not said twice.
type groupView struct {
	// Label is in the language Lang, or in the page's if that is empty.
	Label, Lang string
	Sees        []display.Item
	Choices     []choiceView
	Lines       []display.Line
}

// choiceView is a list of which the user chooses.
type choiceView struct {
	// Label is as in groupView.
	ID, Label, Lang string
	// One is whether one is chosen, or several.
	One bool
	// Wrong reports that nothing was chosen.
	Wrong   bool
	Format  display.Format
	Options []optionView
}

// optionView is what can be chosen, by an input of the form.
type optionView struct {
	ID, Name string
	Value    int
	Checked  bool
	Item     display.Item
}

// viewDetails shows details. form is the one that left a choice open if wrong, which keeps what it chose.
func viewDetails(details []display.View, form url.Values, wrong bool) []detailView {
	var views []detailView
	for object, detail := range details {
		view := detailView{Heading: detail.Heading}
		count := 0
		for _, group := range detail.Groups {
			shown := groupView{Label: group.Label, Lang: group.Lang}
			for _, line := range group.Lines {
				switch {
				case line.Choose != "" && len(line.Items) > 0:
					shown.Choices = append(shown.Choices, viewChoice(line, object, count, form, wrong))
					count++
				case len(line.Items) > 0 && line.Label == group.Label && !slices.ContainsFunc(line.Items, hasLines):
					shown.Sees = append(shown.Sees, line.Items...)
				default:
					shown.Lines = append(shown.Lines, line)
				}
			}
			if len(shown.Choices) == 1 && len(shown.Lines) == 0 && shown.Choices[0].Label == shown.Label {
				shown.Label = "" // the legend says it
			}
			view.Groups = append(view.Groups, shown)
		}
		views = append(views, view)
	}
	return views
}

// hasLines reports whether an entry has more to show than a label and a sentence.
func hasLines(item display.Item) bool { return len(item.Lines) > 0 }

// decided is what was decided: of a list to choose from it has what was chosen, and nothing is left to choose.
func decided(details []display.View) []display.View {
	var all []display.View
	for _, detail := range details {
		detail.Groups = slices.Clone(detail.Groups)
		for i, group := range detail.Groups {
			group.Lines = slices.Clone(group.Lines)
			for j := range group.Lines {
				group.Lines[j].Choose = ""
			}
			detail.Groups[i] = group
		}
		all = append(all, detail)
	}
	return all
}

// viewChoice shows a list to choose from, of which nothing is chosen beforehand.
func viewChoice(line display.Line, object, count int, form url.Values, wrong bool) choiceView {
	offer := line.Offer()
	view := choiceView{
		ID: fmt.Sprintf("choose-%d-%d", object, count), Label: line.Label, Lang: line.Lang, One: offer.Choose == display.One, Wrong: wrong, Format: line.Format,
	}
	for i, item := range line.Items {
		option := optionView{ID: fmt.Sprintf("%s-%d", view.ID, i), Name: offer.Input(object, i), Value: i, Item: item}
		option.Checked = form.Get(option.Name) == fmt.Sprint(i)
		view.Wrong = view.Wrong && !option.Checked
		view.Options = append(view.Options, option)
	}
	return view
}

// unchosen returns the ID of the first input of a choice that was left open, or "".
func unchosen(details []detailView) string {
	for _, detail := range details {
		for _, group := range detail.Groups {
			for _, choice := range group.Choices {
				if choice.Wrong {
					return choice.Options[0].ID
				}
			}
		}
	}
	return ""
}
