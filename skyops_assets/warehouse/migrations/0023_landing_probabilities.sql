-- How likely the flight lands at this airport, as features.landing_probabilities counted it when the crossing was
-- predicted; null for the open history, whose flights all landed, and in rows of before.
alter table ml.predictions
    add column landing_probability double precision check (landing_probability between 0 and 1);
