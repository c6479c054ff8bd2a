-- Crossings of the open history are rows of crossing_features, told apart by its source. Where retention has dropped
-- positions no table is made anew: then their rows are these.
do $$
declare
    names text;
begin
    if to_regclass('features.history_crossing_features') is null or to_regclass('features.crossing_features') is null then
        return;
    end if;
    select string_agg(quote_ident(history.column_name), ', ') into names
    from information_schema.columns as history
    inner join information_schema.columns as ours using (table_schema, column_name)
    where
        history.table_schema = 'features'
        and history.table_name = 'history_crossing_features'
        and ours.table_name = 'crossing_features';
    execute format(
        'insert into features.crossing_features (%1$s) select %1$s from features.history_crossing_features', names
    );
end
$$;

drop table if exists features.history_crossing_features;
