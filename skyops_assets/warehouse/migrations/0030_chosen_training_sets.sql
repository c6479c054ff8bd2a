-- A training set of the airports or the time that a person chose: its model is promoted by a person only.
alter table ml.training_sets add column chosen text;
comment on column ml.training_sets.chosen is
    'Which arrivals a person chose for it, in words; null for all that there were.';
