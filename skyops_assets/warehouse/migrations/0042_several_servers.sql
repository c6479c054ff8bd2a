-- What a warehouse over several servers (Citus) does otherwise; on plain Postgres these do as Postgres does.

-- The size of a table with its indexes: on Citus that of its shards, of which Postgres' own function knows nothing.
create function audit.total_bytes(relation oid) returns bigint language plpgsql stable as $$
begin
    if exists (select 1 from pg_extension where extname = 'citus') then
        if exists (select 1 from pg_dist_partition where logicalrelid = relation) then
            return citus_total_relation_size(relation);
        end if;
    end if;
    return pg_total_relation_size(relation);
end
$$;

-- Citus has no snapshot over its servers. A transaction that lists the loads of raw.ingest_batches calls this first: it
-- waits for the loads under way, makes the next ones wait until the transaction ends, and commits or rolls back what a
-- killed server left prepared. So each load is seen as a whole or not at all.
create function audit.wait_for_loads() returns void language plpgsql as $$
begin
    if not exists (select 1 from pg_extension where extname = 'citus') then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtext('skyops.loads'));
    for attempt in 1..100 loop
        perform recover_prepared_transactions();
        if not exists (
            select 1
            from run_command_on_workers(
                'select count(*) from pg_prepared_xacts where database = current_database()'
            ) as workers
            where not workers.success or workers.result <> '0'
        ) then
            return;
        end if;
        perform pg_sleep(0.1);
    end loop;
    raise exception 'A Citus worker cannot be reached, or holds transactions that are neither committed nor rolled back '
        '(pg_prepared_xacts): see that all workers run, and start the transform again.';
end
$$;
